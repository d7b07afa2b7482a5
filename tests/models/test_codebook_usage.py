import numpy as np

from vqcodec.models.codebook_usage import CodebookUsage


def test_entropy_perplexity_and_use_of_known_distributions():
    usage = CodebookUsage(4, 4)
    usage.counts += [[5, 5, 5, 5], [8, 0, 0, 0], [4, 2, 1, 1], [0, 0, 0, 0]]
    np.testing.assert_allclose(usage.entropy_bits, [2, 0, 1.75, 0])
    np.testing.assert_allclose(usage.perplexity, [4, 1, 2**1.75, 1])
    np.testing.assert_allclose(usage.used_share, [1, 0.25, 1, 0])
    assert str(usage.entropy_bits[1]) == "0.0"


def test_codes_are_counted_per_codebook_over_many_calls():
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 300, (3, frames)).astype(np.uint16) for frames in (0, 1, 500)]
    usage = CodebookUsage(3, 300)
    for part in parts:
        usage.add(part)
    codes = np.concatenate(parts, axis=1)
    assert usage.counts.sum() == codes.size
    for number in range(3):
        assert usage.counts[number].tolist() == [int((codes[number] == code).sum()) for code in range(300)]

import numpy as np
import pytest
import soundfile
import torch

from vqcodec.config import DataConfig
from vqcodec.errors import TrainingError
from vqcodec.training.data import Segments, batches


@pytest.fixture
def config(speech_path):
    return DataConfig(
        train=[str(speech_path.parent)],
        segment_seconds=0.2,
        batch_size=3,
        speed=(0.9, 1.1),
        speed_share=0.5,
        filter_db=6,
        filter_share=0.5,
        noise_share=0.5,
    )


def test_a_segment_is_a_function_of_seed_and_index(config):
    one, other = Segments(config, 16000, seed=1), Segments(config, 16000, seed=1)
    for index in (5, 0, 5, 10**12):
        assert torch.equal(one[index][0], other[index][0])
    assert not torch.equal(one[0][0], one[1][0])
    assert not torch.equal(one[0][0], Segments(config, 16000, seed=2)[0][0])


def test_segments_have_the_length_asked_for_at_any_rate(config):
    for rate_hz in (8000, 16000, 44100):
        segments = Segments(config, rate_hz, seed=0)
        for index in range(20):
            samples, _ = segments[index]
            assert samples.shape == (round(0.2 * rate_hz),)
            assert samples.dtype == torch.float32
            assert samples.abs().max() <= 1


def test_the_cache_changes_nothing(config):
    cached = Segments(config, 16000, seed=0)
    uncached = Segments(config.model_copy(update={"cache_mb": 0}), 16000, seed=0)
    for index in range(5):
        assert torch.equal(cached[index][0], uncached[index][0])


def test_long_clips_are_drawn_in_proportion(config):
    """5.1 s and 3.1 s: 62 % of the segments come from the first."""
    segments = Segments(config, 8000, seed=0)
    share = np.mean(["ljspeech" in segments[index][1] for index in range(400)])
    assert share == pytest.approx(5.139 / (5.139 + 3.11), abs=0.08)


def test_processes_and_workers_share_the_segments_without_overlap(config):
    segments = Segments(config, 8000, seed=0)
    whole = torch.cat([batch.wave for batch in batches(segments, range(2, 4), rank=0, world_size=1)])
    assert whole.shape == (6, 1, 1600)
    first, second = (list(batches(segments, range(1, 2), rank=rank, world_size=2)) for rank in (0, 1))
    assert torch.equal(torch.cat([first[0].wave, second[0].wave]), whole)


def test_clips_that_are_too_short_are_left_out(tmp_path, config):
    soundfile.write(tmp_path / "short.wav", np.zeros(400), 8000)
    with pytest.raises(TrainingError, match="0.1 seconds or longer"):
        Segments(config.model_copy(update={"train": [str(tmp_path)]}), 8000, seed=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_worker_processes_give_the_same_batches(config):
    alone = list(batches(Segments(config, 8000, seed=0), range(3), rank=0, world_size=1))
    workers = Segments(config.model_copy(update={"workers": 2}), 8000, seed=0)
    for one, other in zip(alone, batches(workers, range(3), rank=0, world_size=1), strict=True):
        assert torch.equal(one.wave, other.wave)
        assert one.paths == other.paths

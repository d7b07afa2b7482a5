import pytest
import torch

from vqcodec.nn.attention import WindowedAttention


@pytest.fixture
def layer():
    torch.manual_seed(0)
    layer = WindowedAttention(16, heads=4, window=5).eval()
    torch.nn.init.normal_(layer.distance_bias)
    torch.nn.init.ones_(layer.scale)
    return layer


def test_it_is_attention_over_the_window(layer):
    """Against torch's own, with a mask that is causal and as long as the window; the frames before are zeros."""
    x = torch.randn(2, 12, 16)
    with torch.no_grad():
        y, _ = layer(x)
        normed = layer.norm(x)
        pad = torch.zeros(2, 4, 16)
        keys, values = layer.to_keys_and_values(normed).chunk(2, dim=-1)
        heads = lambda t: t.unflatten(-1, (4, 4)).transpose(1, 2)  # noqa: E731
        query, keys, values = (
            heads(layer.to_query(normed)),
            heads(torch.cat((pad, keys), 1)),
            heads(torch.cat((pad, values), 1)),
        )
        distance = torch.arange(16)[None] - torch.arange(12)[:, None]  # 0 .. 4 inside the window
        inside = (distance >= 0) & (distance < 5)
        bias = layer.distance_bias.T[:, distance.clamp(0, 4)].masked_fill(~inside, float("-inf"))
        mixed = torch.nn.functional.scaled_dot_product_attention(query, keys, values, attn_mask=bias)
        expected = x + layer.mix(mixed.transpose(1, 2).flatten(2))
    assert torch.allclose(y, expected, atol=1e-5)


def test_no_frame_sees_a_later_one_or_one_before_its_window(layer):
    x = torch.randn(1, 20, 16)
    changed = x.clone()
    changed[:, 10] += 1
    difference = (layer(x)[0] - layer(changed)[0]).abs().sum(2)[0]
    assert (difference[:10] == 0).all()
    assert (difference[10:15] > 0).all()
    assert (difference[15:] == 0).all()


def test_any_split_gives_the_same_bits(layer):
    x = torch.randn(2, 40, 16)
    with torch.no_grad():
        whole, _ = layer(x)
        for sizes in ([1] * 40, [3, 1, 30, 6], [20, 20]):
            past, parts = None, []
            for part in x.split(sizes, dim=1):
                y, past = layer(part, past)
                parts.append(y)
            assert torch.equal(torch.cat(parts, 1), whole)

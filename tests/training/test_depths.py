import pytest
import torch

from vqcodec.training.config import QuantizerConfig
from vqcodec.training.depths import draw_depths


def test_items_are_whole_constant_or_varied_in_their_shares():
    torch.manual_seed(0)
    depths = draw_depths(4000, 50, 12, QuantizerConfig(dropout=0.5, varied=0.3))
    assert (depths.min(), depths.max()) == (1, 12)
    constant = (depths == depths[:, :1]).all(1)
    whole = constant & (depths[:, 0] == 12)
    assert abs((~constant).float().mean() - 0.3) < 0.03
    assert abs(whole.float().mean() - 0.2 - 0.5 / 12) < 0.03
    changes = (depths[~constant].diff(dim=1) != 0).float().mean() * 12 / 11
    assert abs(changes - 0.1) < 0.01


def test_depths_of_constant_items_are_uniform():
    torch.manual_seed(0)
    counts = draw_depths(12000, 3, 12, QuantizerConfig(dropout=1.0))[:, 0].bincount(minlength=13)[1:]
    assert (counts - 1000).abs().max() < 150


def test_shares_of_more_than_all_are_refused():
    with pytest.raises(ValueError, match="at most 1 in all"):
        QuantizerConfig(dropout=0.5, varied=0.6)

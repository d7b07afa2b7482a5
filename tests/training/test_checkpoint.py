import pytest
import torch

from vqcodec.errors import TrainingError
from vqcodec.training.checkpoint import (
    KEEP,
    has_checkpoint,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from vqcodec.training.config import OptimizerConfig
from vqcodec.training.schedule import make_optimizer


def test_the_newest_comes_back_and_old_ones_go(tmp_path):
    assert not has_checkpoint(tmp_path)
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, {"a": torch.full((2,), float(step))}, {"note": step})
    tensors, numbers = load_checkpoint(tmp_path)
    assert torch.equal(tensors["a"], torch.full((2,), 3.0))
    assert numbers == {"step": 3, "note": 3}
    assert len(list((tmp_path / "checkpoints").iterdir())) == KEEP


def test_a_checkpoint_that_was_cut_off_while_written_does_not_count(tmp_path):
    save_checkpoint(tmp_path, 1, {"a": torch.ones(1)}, {})
    (tmp_path / "checkpoints" / ".step-00000002.tmp").mkdir()
    assert load_checkpoint(tmp_path)[1]["step"] == 1


def test_missing_and_damaged_checkpoints_are_training_errors(tmp_path):
    with pytest.raises(TrainingError, match="no checkpoint"):
        load_checkpoint(tmp_path)
    folder = save_checkpoint(tmp_path, 1, {"a": torch.ones(1)}, {})
    (folder / "state.safetensors").write_bytes(b"damaged")
    with pytest.raises(TrainingError, match="damaged checkpoint"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_an_optimizer_goes_on_as_if_never_stopped(kind):
    def make():
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 3)
        return layer, make_optimizer(layer, 0.1, OptimizerConfig(kind=kind))

    def step(layer, optimizer, seed):
        loss = layer(torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    layer, optimizer = make()
    for seed in range(6):
        step(layer, optimizer, seed)
    other, other_optimizer = make()
    for seed in range(3):
        step(other, other_optimizer, seed)
    saved, state = {k: v.clone() for k, v in optimizer_tensors(other_optimizer).items()}, other.state_dict()
    resumed, resumed_optimizer = make()
    resumed.load_state_dict(state)
    restore_optimizer(resumed_optimizer, saved)
    for seed in range(3, 6):
        step(resumed, resumed_optimizer, seed)
    assert torch.equal(resumed.weight, layer.weight)

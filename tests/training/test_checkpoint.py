import resource

import pytest
import torch

from vqcodec.errors import OutputError, TrainingError
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


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff{}",
        b"[" * 200_000,
        b'{"step": "7"}',
        b'{"step": -5}',
        b'{"step": true}',
        b'{"step": 7.0}',
        b'{"step": 1' + 5000 * b"0" + b"}",
        b'{"note": "' + (1 << 26) * b" " + b'", "step": 3}',
    ],
    ids=lambda state: state[:16].decode("latin-1"),
)
def test_a_damaged_state_is_one_line(tmp_path, state):
    folder = save_checkpoint(tmp_path, 7, {"a": torch.ones(1)}, {})
    (folder / "state.json").write_bytes(state)
    with pytest.raises(TrainingError, match=r"step-00000007: damaged checkpoint .* remove it") as error:
        load_checkpoint(tmp_path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


@pytest.fixture
def full_disk():
    """Files have at most 60 KB."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_one_line_and_leaves_nothing_but_the_former_checkpoint(tmp_path, full_disk):
    save_checkpoint(tmp_path, 1, {"a": torch.ones(1)}, {})
    for tensors, numbers in (({"a": torch.ones(100_000)}, {}), ({"a": torch.ones(1)}, {"note": 100_000 * "x"})):
        with pytest.raises(OutputError, match=r"step-00000002: cannot write .no space left on the disk.; free some"):
            save_checkpoint(tmp_path, 2, tensors, numbers)
        assert [folder.name for folder in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]
    assert load_checkpoint(tmp_path)[1] == {"step": 1}


def test_what_a_killed_process_left_goes_before_the_next_is_written(tmp_path):
    leftover = tmp_path / "checkpoints" / ".step-00000002.tmp"
    leftover.mkdir(parents=True)
    (leftover / "state.safetensors").write_bytes(bytes(1000))
    save_checkpoint(tmp_path, 3, {"a": torch.ones(1)}, {})
    assert [folder.name for folder in (tmp_path / "checkpoints").iterdir()] == ["step-00000003"]


@pytest.mark.parametrize("name", ["9.exp_avg", "x.exp_avg", "-1.exp_avg", "", "0.exp_avg"])
def test_a_state_that_is_of_no_parameter_is_refused(name):
    optimizer = torch.optim.AdamW(torch.nn.Linear(2, 2).parameters())
    with pytest.raises(ValueError, match="has no parameter of|has the shape"):
        restore_optimizer(optimizer, {name: torch.ones(3)})


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

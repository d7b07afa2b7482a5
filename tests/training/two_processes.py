"""Trains every config FOLDER/*.json in turn; torchrun starts it in each of two processes for test_processes.py.

After every step both must hold the same, to the bit. FOLDER/NAME.safetensors gets the gradients of the last step and
the codebooks after it.
"""

import hashlib
import sys
from pathlib import Path

import torch.distributed as dist
from safetensors.torch import save_file

from vqcodec.training.config import RunConfig
from vqcodec.training.trainer import Trainer


class Watched(Trainer):
    """Says after every step whether all processes hold the same, and does without validation."""

    def _train_step(self, batch):
        statistics = super()._train_step(batch)
        digests = [None] * self.fabric.world_size
        if self.fabric.world_size > 1:
            dist.all_gather_object(digests, self._digests())
            differing = [name for name, digest in digests[0].items() if digests[1][name] != digest]
            assert not differing, f"{self.config.model.name}, step {self.step}: the processes differ in {differing}"
        return statistics

    def _digests(self):
        tensors = {**self.codec.state_dict(), **{f"average.{name}": x for name, x in self.average.values.items()}}
        if self.adversary is not None:
            tensors |= self.adversary.tensors()
        return {name: hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest() for name, x in tensors.items()}

    def _validate(self, log, clips):
        pass


def train(config, run):
    """Train, and return the gradients of the last step and what the codebooks are after it."""
    trainer = Watched(config, run)
    trainer.fit()
    tensors = dict(trainer.codec.quantizer.named_buffers(prefix="quantizer"))
    modules = {"codec": trainer.codec, "adversary": trainer.adversary.module.scales}  # scales: by the same name in DDP
    for part, module in modules.items():
        tensors |= {f"{part}.{name}.grad": x.grad for name, x in module.named_parameters() if x.grad is not None}
    return {name: x.detach().clone().contiguous() for name, x in tensors.items()}


if __name__ == "__main__":
    for path in sorted(Path(sys.argv[1]).glob("*.json")):
        found = train(RunConfig.model_validate_json(path.read_text()), path.with_suffix(""))
        if dist.get_rank() == 0:
            save_file(found, path.with_suffix(".safetensors"))
            print("trained", path.stem, flush=True)
    dist.destroy_process_group()

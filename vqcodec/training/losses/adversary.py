"""The adversarial part of training: discriminators with their optimizer, and the losses they give the codec."""

import contextlib
from collections.abc import Iterator

from lightning_fabric import Fabric
from torch import Tensor, nn

from vqcodec.training.checkpoint import optimizer_tensors, restore_optimizer, with_prefix, without_prefix
from vqcodec.training.config import RunConfig
from vqcodec.training.losses.discriminators import Discriminators, discriminator_loss, generator_losses
from vqcodec.training.schedule import learning_rate, make_optimizer, set_rate


class Adversary:
    """Discriminators that begin at `start_step`, learn alone for `warmup_steps`, then judge the codec."""

    def __init__(self, config: RunConfig, fabric: Fabric, start_step: int) -> None:
        self.config, self.fabric, self.start_step = config, fabric, start_step
        module = Discriminators(config.discriminator.windows, config.discriminator.channels)
        adamw = config.optimizer.model_copy(update={"kind": "adamw"})  # with Muon they learn ten times slower
        optimizer = make_optimizer(module, config.discriminator.learning_rate, adamw)
        self.module, self.optimizer = fabric.setup(module, optimizer)

    def losses(self, wave: Tensor, wave_hat: Tensor, step: int) -> dict[str, Tensor]:
        """Update the discriminators on `wave` and `wave_hat` [B, T], then judge `wave_hat`.

        Returns the weighted losses of the codec, and the discriminators' own, detached, as `discriminator`.
        """
        config = self.config.discriminator
        if step < self.start_step:
            return {}
        loss = self._learn(wave, wave_hat.detach(), step)
        if step < self.start_step + config.warmup_steps:
            return {"discriminator": loss}
        with _frozen(self.module):
            adversarial, matching = generator_losses(self.module(wave), self.module(wave_hat))
        return {
            "discriminator": loss,
            "adversarial": config.adversarial * adversarial,
            "feature_matching": config.feature_matching * matching,
        }

    def _learn(self, wave: Tensor, wave_hat: Tensor, step: int) -> Tensor:
        set_rate(
            self.optimizer,
            learning_rate(step, self.config.steps, self.config.discriminator.learning_rate, self.config.optimizer),
        )
        loss = discriminator_loss(self.module(wave), self.module(wave_hat))
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        self.fabric.clip_gradients(self.module, self.optimizer, max_norm=self.config.optimizer.clip_norm)
        self.optimizer.step()
        return loss.detach()

    def tensors(self) -> dict[str, Tensor]:
        """Give what a checkpoint must hold."""
        return with_prefix("module", self.module.state_dict()) | with_prefix(
            "optimizer", optimizer_tensors(self.optimizer)
        )

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take what `tensors` gave; an empty mapping (the checkpoint had no discriminators) changes nothing."""
        if tensors:
            self.module.load_state_dict(without_prefix("module", tensors))
            restore_optimizer(self.optimizer, without_prefix("optimizer", tensors))


@contextlib.contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """No gradients for the parameters of `module`, only through it."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in module.parameters():
            parameter.requires_grad_(True)

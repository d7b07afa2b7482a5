"""The training of a prior, on the same Fabric, optimizers, log and checkpoints as that of a codec.

All that a step draws is a function of (seed, step, process), so that a run that is resumed goes on as if never stopped.
"""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vqcodec.errors import OutputError, TrainingError
from vqcodec.frames import ceil_div
from vqcodec.models.engine import Engine
from vqcodec.output import check_length
from vqcodec.sessions.stream import streaming
from vqcodec.tokens.prior.config import PriorConfig
from vqcodec.tokens.prior.data import CodesInMemory
from vqcodec.tokens.prior.judging import bits_per_code, mean_bits, token_losses
from vqcodec.tokens.prior.network import Prior, PriorSizes
from vqcodec.tokens.prior.priorfile import save_prior
from vqcodec.tokens.reader import TokenDataset
from vqcodec.training.checkpoint import (
    begin_run,
    damaged,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
    with_prefix,
    without_prefix,
)
from vqcodec.training.monitoring.run_log import NoLog, RunLog
from vqcodec.training.runtime import make_fabric, on_any_process, seed_step, stop_signals
from vqcodec.training.schedule import WeightAverage, learning_rate, make_optimizer, set_rate

_PLAIN_DIM = 64
"""Length of the vectors of codes where the codec tells none."""
_MOST_VALID = 64
"""Utterances that validation during training reads."""


class PriorTrainer:
    """One run in the folder `run`: config.json, checkpoints/, log.jsonl, tensorboard/; the prior goes to `out`.

    Raises TrainingError for tokens that have fewer codebooks than the config wants.
    """

    def __init__(
        self,
        config: PriorConfig,
        run: Path,
        out: Path,
        *,
        tokens: TokenDataset,
        valid: TokenDataset | None,
        codec: Engine,
    ) -> None:
        self.config, self.run, self.out = config, run, out
        check_length(run / "checkpoints", OutputError)
        count = config.model.codebooks
        if (fewest := min(each.num_codebooks for each in (tokens, valid or tokens))) < count:
            raise TrainingError(f"model.codebooks {count}: the tokens have {fewest}; set model.codebooks={fewest}")
        self.settings = tokens.settings
        self.data = CodesInMemory.of(tokens, count)
        self.valid = [] if valid is None else _spread(CodesInMemory.of(valid, count).utterances())
        self.step = 0
        torch.manual_seed(config.seed)
        vectors = None
        if codec.is_streaming and codec.has_depths:
            vectors = torch.from_numpy(streaming(codec).code_vectors()[:count].copy())
        dim = _PLAIN_DIM if vectors is None else vectors.shape[2]
        m = config.model
        self.sizes = PriorSizes(count, tokens.codebook_size, dim, m.channels, m.layers, m.heads, m.window_frames)
        self.prior = Prior(self.sizes, dropout=m.dropout)
        if vectors is not None:
            self.prior.start_from(vectors)
        self.fabric = make_fabric(config, may_rest=False)
        self.fabric.launch()
        optimizer = make_optimizer(self.prior, config.optimizer.learning_rate, config.optimizer)
        self.network, self.optimizer = self.fabric.setup(self.prior, optimizer)
        self.average = WeightAverage(self.prior, config.optimizer.ema_decay)

    def fit(self) -> bool:
        """Train to `config.steps`, until `max_minutes`, or until SIGINT or SIGTERM; save and write the prior.

        Returns whether all steps are done.
        """
        config, main = self.config, self.fabric.is_global_zero
        deadline = time.monotonic() + 60 * (config.max_minutes or math.inf)
        if main:
            begin_run(self.run, config)
        with RunLog(self.run, self.step, config.steps) if main else NoLog() as log, stop_signals() as stop:
            log.message(self._describe())
            while self.step < config.steps:
                statistics = self._train_step()
                self.step += 1
                log.advance(f"{statistics['bits_per_code']:.3f} bits per code")
                self._report(log, statistics)
                if on_any_process(self.fabric, stop.requested or time.monotonic() > deadline):
                    break
            self.save()
            if main:
                codes_of = self.settings.fingerprint
                save_prior(self.sizes, self.average.values, self.out, model=self.settings.model, fingerprint=codes_of)
            finished = self.step >= config.steps
            why = "finished" if finished else "stopped, --resume goes on,"
            log.message(f"{why} at step {self.step}; the prior is in {self.out}")
        return finished

    def _train_step(self) -> dict[str, Any]:
        config, started = self.config, time.monotonic()
        draw = (config.seed, self.step, self.fabric.global_rank)
        seed_step(self.fabric, config.seed, self.step)
        tokens, is_code = self.data.batch(config.data.batch_size, config.data.segment_frames, draw)
        tokens, is_code = self.fabric.to_device((tokens, is_code))
        rate = learning_rate(self.step, config.steps, config.optimizer.learning_rate, config.optimizer)
        set_rate(self.optimizer, rate)
        self.network.train()
        pads = torch.full_like(tokens[..., :1], self.sizes.codebook_size)
        logits, _ = self.network(torch.cat((pads, tokens[..., :-1]), dim=2))
        loss = token_losses(logits, tokens).sum() / is_code.sum()
        if not math.isfinite(loss.item()):
            raise TrainingError(f"step {self.step}: the loss is {loss.item():g}; lower optimizer.learning_rate")
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        norm = self.fabric.clip_gradients(
            self.network, self.optimizer, max_norm=config.optimizer.clip_norm, error_if_nonfinite=False
        )
        self.optimizer.step()
        self.average.update(self.prior, self.step)
        return {
            "bits_per_code": loss.item() / math.log(2),
            "gradient_norm": float(0.0 if norm is None else norm),
            "learning_rate": rate,
            "seconds_per_step": round(time.monotonic() - started, 3),
        }

    def _report(self, log: RunLog | NoLog, statistics: dict[str, Any]) -> None:
        config, is_last = self.config, self.step == self.config.steps
        if self.step % config.log_every == 0 or is_last:
            log.record(self.step, "train", statistics)
        if self.valid and (self.step % config.validate_every == 0 or is_last):
            if self.fabric.is_global_zero:
                bits = self._validated()
                log.record(self.step, "validation", {"bits_per_code": mean_bits(bits), "bits": bits})
            self.fabric.barrier()
        if self.step % config.checkpoint_every == 0 and not is_last:
            self.save()

    def _validated(self) -> list[float]:
        prior = Prior(self.sizes).to(self.fabric.device).eval()
        prior.load_state_dict(self.average.values)
        return bits_per_code(prior, self.valid)

    def _describe(self) -> str:
        millions = sum(parameter.numel() for parameter in self.prior.parameters()) / 1e6
        hours = self.data.codes.shape[1] / self.settings.frame_rate / 3600
        return (
            f"prior of {self.settings.model}: {millions:.1f} M parameters, {len(self.data.ends)} utterances, "
            f"{hours:.2f} h, {self.sizes.num_codebooks} codebooks, steps {self.step}..{self.config.steps}, "
            f"{self.fabric.world_size} process(es) on {self.fabric.device}"
        )

    def save(self) -> None:
        """Write a checkpoint (process 0; all share it)."""
        if self.fabric.is_global_zero:
            tensors = with_prefix("prior", self.prior.state_dict()) | with_prefix("average", self.average.values)
            tensors |= with_prefix("optimizer", optimizer_tensors(self.optimizer))
            numbers = {"optimizer": self.config.optimizer.kind, "codes_of": self.settings.fingerprint}
            save_checkpoint(self.run, self.step, tensors, numbers)
        self.fabric.barrier()

    def resume(self) -> None:
        """Go back to the newest checkpoint of the run. Raises TrainingError if there is none or it does not fit."""
        tensors, numbers = load_checkpoint(self.run)
        kind, former = self.config.optimizer.kind, numbers.get("codes_of")
        if numbers.get("optimizer") != kind:
            raise TrainingError(f"{self.run}: its optimizer is {numbers.get('optimizer')!s:.60}, not {kind}; give that")
        if former != self.settings.fingerprint:
            raise TrainingError(
                f"{self.run}: learned codes of weights {former!s:.8}, and the tokens are of "
                f"{self.settings.fingerprint[:8]}; give tokens of those, or another --run"
            )
        average = without_prefix("average", tensors)
        try:
            self.prior.load_state_dict(average)  # only to see that they fit
            self.prior.load_state_dict(without_prefix("prior", tensors))
        except RuntimeError as error:
            why = " ".join(str(error).split())[:300]
            raise TrainingError(f"{self.run}: the checkpoint is of another architecture ({why})") from None
        try:
            restore_optimizer(self.optimizer, without_prefix("optimizer", tensors))
        except ValueError as error:
            raise damaged(self.run, error) from None
        self.average.values = {name: self.fabric.to_device(value) for name, value in average.items()}
        self.step = numbers["step"]


def _spread(utterances: list[NDArray[np.uint16]]) -> list[NDArray[np.uint16]]:
    """At most `_MOST_VALID` of them, from all over."""
    return utterances[:: ceil_div(len(utterances), _MOST_VALID)]

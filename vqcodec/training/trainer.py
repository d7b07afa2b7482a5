"""The training loop, on Lightning Fabric: CPU, one GPU, or many through `torchrun`, without code changes.

Every random number of a step comes from a seed made of (seed, step, process), and every segment from its index
(see data.py), so that a run resumed from a checkpoint goes on as if it had never stopped.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vqcodec.errors import OutputError, TrainingError
from vqcodec.frames import ceil_div
from vqcodec.models import zoo
from vqcodec.models.codec import Codec, Reconstruction
from vqcodec.models.weights import save_weights
from vqcodec.nn.quantizers.codebook import Learning
from vqcodec.nn.quantizers.quantizer import Draw, Quantized
from vqcodec.output import check_length
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
from vqcodec.training.config import RunConfig
from vqcodec.training.data.segments import Batch, Segments, batches, speakers_of
from vqcodec.training.depths import draw_depths
from vqcodec.training.enhancement import FILE, Enhancement
from vqcodec.training.losses.adversary import Adversary
from vqcodec.training.losses.reconstruction import reconstruction_losses
from vqcodec.training.monitoring.epochs import EpochMeans
from vqcodec.training.monitoring.health import live_directions, perplexity
from vqcodec.training.monitoring.run_log import NoLog, RunLog
from vqcodec.training.monitoring.validation import (
    ValidationClip,
    degraded_clips,
    load_clips,
    log_round_trips,
    validate_codec,
)
from vqcodec.training.runtime import StopRequest, make_fabric, on_any_process, seed_step, stop_signals
from vqcodec.training.schedule import WeightAverage, gradual, learning_rate, make_optimizer, set_rate, temperature

_KMEANS_INDEX = 1 << 40
"""First index of the segments that k-means sees: far from those of any step."""

_EXPLODED = 20.0
"""A loss this many times its running mean is no training any more."""

_MAY_BE_NEW = ("decoder.head.to_controls.", "decoder.speaker_vectors.", ".to_norm.")
"""In the names of weights that a run may begin with where those that it starts from have none."""


@dataclass(frozen=True)
class RunResult:
    """How a run ended: steps done, whether all of them, and the exported weights."""

    step: int
    finished: bool
    weights: Path


class Trainer:
    """One training run in the folder `run`: config.json, checkpoints/, log.jsonl, tensorboard/, model.safetensors."""

    def __init__(self, config: RunConfig, run: str | Path) -> None:
        if config.data.speaker_seconds and not config.model.speakers:
            speakers = speakers_of(config.data)
            config = config.model_copy(update={"model": replace(config.model, speakers=speakers)})
        self.config, self.run = config, Path(run)
        check_length(self.run / "checkpoints", OutputError)
        if config.init is None and config.steps <= config.quantizer.start_step:
            first = config.quantizer.start_step
            raise TrainingError(
                f"steps {config.steps}: quantization begins at quantizer.start_step {first}; train longer"
            )
        if config.freeze and config.init is None:
            raise TrainingError(f"freeze {', '.join(config.freeze)}: nothing is trained yet; give init")
        self.step = 0
        self.quantizing = False
        self._running_loss: float | None = None
        self._left_out: set[str] = set()
        self._stop = StopRequest()
        torch.manual_seed(config.seed)
        q = config.quantizer
        learning = Learning(decay=q.decay, revive_below=q.revive_below, estimator=q.estimator, start=q.start)
        self.codec = Codec(config.model, learning)
        if config.init is not None:
            self._start_from(config.init)
        is_enhancing = config.enhancer.channels > 0
        self.enhancement = Enhancement(self.codec, config.enhancer, config.init) if is_enhancing else None
        self.frozen = [*config.freeze, *(("quantizer",) if is_enhancing else ())]
        for part in config.freeze:
            self.codec.get_submodule(part).requires_grad_(False)
        # Until quantization begins the codebooks rest.
        may_rest = any(parameter.requires_grad for parameter in self.codec.quantizer.parameters())
        self.fabric = make_fabric(config, may_rest=may_rest)
        self.fabric.launch()
        optimizer = make_optimizer(self.codec, config.optimizer.learning_rate, config.optimizer)
        self.model, self.optimizer = self.fabric.setup(self.codec, optimizer)
        self.average = WeightAverage(self.codec, config.optimizer.ema_decay)
        start = config.discriminator.start_step
        self.adversary = None if start is None else Adversary(config, self.fabric, start)

    def _start_from(self, weights: str) -> None:
        """Start from trained weights: their codebooks are good, so quantization is on from the first step.

        A source may come anew: what its gates and gains begin with makes a good sound of a trained spectrum. So may
        speakers, who begin as nothing, and the last codebooks may be left out.
        """
        source, model = zoo.load_own(weights), self.config.model
        former, state = source.config, source.state_dict()
        wanted = replace(model, name=former.name)
        if former.source_hz == 0:
            wanted = replace(wanted, source_hz=0)
        if not former.speakers:
            wanted = replace(wanted, speakers=())
        if len(model.strides) == 0 and model.groups == 1 and model.total_codebooks < former.total_codebooks:
            wanted = replace(wanted, total_codebooks=former.total_codebooks)
            left_out = range(model.total_codebooks, former.total_codebooks)
            starts = tuple(f"quantizer.codebooks.{index}." for index in left_out)
            state = {name: value for name, value in state.items() if not name.startswith(starts)}
        if former != wanted:
            raise TrainingError(f"init {weights}: its architecture differs from the recipe's `model`")
        missing, unknown = self.codec.load_state_dict(state, strict=False)
        assert not unknown and all(any(part in name for part in _MAY_BE_NEW) for name in missing)
        self.codec.fingerprint = source.fingerprint
        self.quantizing = True

    # The loop

    def fit(self) -> RunResult:
        """Train to `config.steps`, until `max_minutes`, or until SIGINT or SIGTERM; save, export and return."""
        config = self.config
        pairs = self.enhancement is not None
        dataset = Segments(
            config.data, config.model.sample_rate_hz, config.seed, pairs=pairs, speakers=config.model.speakers
        )
        main = self.fabric.is_global_zero
        clips = load_clips(config.data, config.model.sample_rate_hz, config.model.speakers) if main else []
        if pairs:
            clips = degraded_clips(clips, dataset)
        segments = config.data.batch_size * self.fabric.world_size
        epochs = EpochMeans(max(config.log_every, ceil_div(len(dataset.clips), segments)))
        deadline = time.monotonic() + 60 * (config.max_minutes or math.inf)
        if main:
            begin_run(self.run, self.config)
        with RunLog(self.run, self.step, config.steps) if main else NoLog() as log, stop_signals() as self._stop:
            log.message(self._describe(dataset))
            for batch in self._batches(dataset):
                if self.step >= config.quantizer.start_step and not self.quantizing:
                    log.phase("k-means on latents")
                    self._start_quantizer(dataset)
                statistics = self._train_step(batch)
                self.step += 1
                log.advance(f"mean loss {statistics['mean_loss']:.3f}, {statistics['seconds_per_step']:.2f} s a step")
                self._report(log, statistics, clips)
                if (means := epochs.add(self.step, statistics)) is not None:
                    log.record(self.step, "epoch", means)
                if self._should_stop(deadline):
                    break
            return self._finish(log)

    def _batches(self, dataset: Segments) -> Iterator[Batch]:
        rank, world_size = self.fabric.global_rank, self.fabric.world_size
        steps = range(self.step, self.config.steps)
        return batches(dataset, steps, rank=rank, world_size=world_size)

    def _report(self, log: RunLog | NoLog, statistics: dict[str, Any], clips: list[ValidationClip]) -> None:
        """Log, validate and save when their step has come."""
        config, last = self.config, self.step == self.config.steps
        if self.step % config.log_every == 0 or last:
            log.record(self.step, "train", statistics)
        if self.step % config.validate_every == 0 or last:
            if self.fabric.is_global_zero:
                log.phase(f"validation on {len(clips)} clips")
                self._validate(log, clips)
            self.fabric.barrier()
        if self.step % config.checkpoint_every == 0 and not last:
            self.save()

    def _finish(self, log: RunLog | NoLog) -> RunResult:
        weights = self.run / (FILE if self.enhancement else "model.safetensors")
        self.save()
        if self.fabric.is_global_zero and self.enhancement is not None:
            self.enhancement.save(self.average.values, weights)
        elif self.fabric.is_global_zero:
            save_weights(self.config.model, self.average.values, weights)
        finished = self.step >= self.config.steps
        why = "finished" if finished else "stopped, --resume goes on,"
        log.message(f"{why} at step {self.step}; weights in {weights}")
        return RunResult(self.step, finished, weights)

    def _should_stop(self, deadline: float) -> bool:
        """Has a signal come or the time run out, on any process?"""
        return on_any_process(self.fabric, self._stop.requested or time.monotonic() > deadline)

    def _describe(self, dataset: Segments) -> str:
        millions = sum(parameter.numel() for parameter in self.codec.parameters()) / 1e6
        return (
            f"{self.config.model.name}: {millions:.1f} M parameters, {len(dataset.clips)} clips, "
            f"{dataset.hours:.2f} h, steps {self.step}..{self.config.steps}, "
            f"{self.fabric.world_size} process(es) on {self.fabric.device}"
        )

    # One step

    def _train_step(self, batch: Batch) -> dict[str, Any]:
        """One update of the codec, and of the discriminators once they have begun; returns what to log."""
        config, started = self.config, time.monotonic()
        seed_step(self.fabric, config.seed, self.step)
        rate = learning_rate(self.step, config.steps, config.optimizer.learning_rate, config.optimizer)
        set_rate(self.optimizer, rate)
        wave = self.fabric.to_device(batch.wave)
        self.model.train()
        for part in self.frozen:
            self.codec.get_submodule(part).eval()  # codebooks of running means learn without gradients
        heard = wave if batch.heard is None else self.fabric.to_device(batch.heard)
        speakers = None if batch.speakers is None else self.fabric.to_device(batch.speakers)
        output: Reconstruction = self.model(heard, self._draw(batch.wave), speakers)
        losses = self._losses(wave.squeeze(1), output)
        codec_losses = [value for name, value in losses.items() if name != "discriminator"]
        loss = torch.stack(codec_losses).sum()
        self._check(loss.item(), batch)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        norm = self._clip()
        self.optimizer.step()
        self.average.update(self.codec, self.step)
        statistics: dict[str, Any] = {name: value.item() for name, value in losses.items()}
        statistics |= {"gradient_norm": float(norm or 0.0), "learning_rate": rate}
        if (self.step + 1) % config.log_every == 0:
            statistics |= self._health(output)
        seconds = round(time.monotonic() - started, 3)
        return {"loss": loss.item(), "mean_loss": self._running_loss, "seconds_per_step": seconds} | statistics

    def _clip(self) -> Tensor | None:
        """Bound the gradient and return its norm. Raises TrainingError for one that is not finite."""
        try:
            return self.fabric.clip_gradients(self.model, self.optimizer, max_norm=self.config.optimizer.clip_norm)
        except RuntimeError as error:
            if "non-finite" not in str(error):
                raise
            remedy = "lower optimizer.learning_rate, or the weights under loss"
            raise TrainingError(f"step {self.step}: the gradient is not finite; {remedy}") from None

    def _draw(self, wave: Tensor) -> Draw | None:
        """How each of the items of a batch [B, 1, T] is quantized; None before the codebooks start."""
        if not self.quantizing:
            return None
        q, items, device = self.config.quantizer, len(wave), self.fabric.device
        first = 0 if self.config.init is not None else q.start_step
        now = gradual(self.step - first, q)
        depths = draw_depths(items, ceil_div(wave.shape[2], self.codec.hop_length), self.codec.total_codebooks, q)
        unquantized = torch.rand(items) < now.unquantized
        warmth = temperature((self.step - first) / max(1, self.config.steps - first), q)
        entropies = self.config.loss.entropy > 0
        return Draw(depths.to(device), unquantized.to(device), now.blend, warmth, entropies)

    def _losses(self, wave: Tensor, output: Reconstruction) -> dict[str, Tensor]:
        """All weighted losses by name; `wave` [B, T]."""
        weights, wave_hat = self.config.loss, output.wave_hat.squeeze(1)
        losses = reconstruction_losses(wave, wave_hat, self.codec.sample_rate_hz, weights)
        if output.quantized is None:
            losses["latent"] = 1e-3 * output.latent.float().square().mean()  # bounds it until the codebooks do
        else:
            losses["commitment"] = weights.commitment * output.quantized.commitment_loss
            losses["codebook"] = weights.codebook * output.quantized.codebook_loss
            if weights.entropy > 0:
                difference = output.quantized.assignment_entropy - output.quantized.usage_entropy
                losses["entropy"] = weights.entropy * difference
            if weights.idempotence > 0:
                losses["idempotence"] = weights.idempotence * self._idempotence(output, output.quantized)
        if weights.sparsity > 0:
            losses["sparsity"] = weights.sparsity * output.latent.float().abs().mean()
        if self.enhancement is not None:
            losses["clean_latent"] = weights.clean_latent * self.enhancement.loss(wave, output)
        if self.adversary is not None:
            losses |= self.adversary.losses(wave, wave_hat, self.step)
        return losses

    def _idempotence(self, output: Reconstruction, quantized: Quantized) -> Tensor:
        """Compare the latent of the decoded sound with what that was decoded of: squared error over its variance.

        The encoder learns by it to find again what is there, the decoder to make it plain (O'Reilly et al. 2024, Code
        Drift).
        """
        again, _ = self.codec.encoder(self.codec.padded(output.wave_hat.squeeze(1)))
        target = quantized.latent.detach()
        variance = target.float().var((0, 1), correction=0).sum() + 1.0
        error: Tensor = (again - target).float().square().sum(-1).mean() / variance
        return error

    def _check(self, loss: float, batch: Batch) -> None:
        """Stop a run whose loss is NaN, infinite or exploding. Raises TrainingError."""
        mean = self._running_loss
        if not math.isfinite(loss) or (mean is not None and loss > mean + (_EXPLODED - 1) * abs(mean)):
            before = "" if mean is None else f" after a mean of {mean:.3g}"
            raise TrainingError(
                f"step {self.step}: the loss is {loss:g}{before}; lower optimizer.learning_rate or look at the "
                f"batch: {', '.join(dict.fromkeys(batch.paths))}"
            )
        self._running_loss = loss if mean is None else 0.98 * mean + 0.02 * loss

    def _health(self, output: Reconstruction) -> dict[str, Any]:
        ratio, eigenvalues = live_directions(output.latent)
        health: dict[str, Any] = {"latent_directions": ratio, "latent_eigenvalues": eigenvalues}
        if output.quantized is not None:
            health["perplexity"] = perplexity(output.quantized.codes, self.codec.codebook_size)
            health["residual_energy"] = output.quantized.residual_energy.tolist()
            health["revived"] = [int(count) for count in output.quantized.revived]
        return health

    @torch.no_grad()
    def _start_quantizer(self, dataset: Segments) -> None:
        """k-means on the latents of segments that no step sees."""
        seed_step(self.fabric, self.config.seed, self.step)
        count = self.config.data.batch_size * self.config.quantizer.kmeans_batches
        first = _KMEANS_INDEX + self.fabric.global_rank * count
        latents = []
        for index in range(first, first + count):
            wave = self.fabric.to_device(dataset[index].samples)
            wave = wave[None] if wave.ndim == 1 else wave[-1:]
            wave = F.pad(wave, (0, -wave.shape[1] % self.codec.hop_length))
            latents.append(self.codec.encoder(wave)[0][0])
        self.codec.quantizer.start_from(torch.cat(latents).float())
        self.average.restart(self.codec)
        self.quantizing = True

    # Validation and checkpoints

    def _validate(self, log: RunLog | NoLog, clips: list[ValidationClip]) -> None:
        """Score the averaged weights, and log how a few clips sound and look."""
        if not self.quantizing:
            return
        codec = Codec(self.config.model)
        if self.enhancement is not None:
            self.enhancement.attach(codec)
        codec = codec.to(self.fabric.device).eval()
        codec.load_state_dict(self.average.values)
        total = codec.total_codebooks
        depths = sorted({depth for depth in self.config.validate_codebooks if depth < total} | {total})
        scores, left_out = validate_codec(codec, clips, depths)
        for name in sorted(left_out.keys() - self._left_out):
            log.message(f"validation without {name}: {left_out[name]}")
        self._left_out |= left_out.keys()
        log.record(self.step, "validation", scores)
        log_round_trips(log, codec, clips[:2], depths, self.step)

    def save(self) -> None:
        """Write a checkpoint (process 0; all share it)."""
        if self.fabric.is_global_zero:
            tensors = with_prefix("codec", self.codec.state_dict()) | with_prefix("average", self.average.values)
            tensors |= with_prefix("optimizer", optimizer_tensors(self.optimizer))
            if self.adversary is not None:
                tensors |= with_prefix("adversary", self.adversary.tensors())
            numbers = {
                "quantizing": self.quantizing,
                "running_loss": self._running_loss,
                "optimizer": self.config.optimizer.kind,
            }
            save_checkpoint(self.run, self.step, tensors, numbers)
        self.fabric.barrier()

    def resume(self) -> None:
        """Go back to the newest checkpoint of the run. Raises TrainingError if there is none or it does not fit."""
        tensors, numbers = load_checkpoint(self.run)
        kind = self.config.optimizer.kind
        if numbers.get("optimizer", kind) != kind:
            raise TrainingError(f"{self.run}: its optimizer is {numbers['optimizer']!s:.60}, not {kind}; give that one")
        quantizing, loss = numbers.get("quantizing"), numbers.get("running_loss", "none")
        if type(quantizing) is not bool or not (loss is None or type(loss) is float):
            raise damaged(self.run, f"state.json: quantizing {quantizing!r:.40}, running_loss {loss!r:.40}")
        average = without_prefix("average", tensors)
        try:
            self.codec.load_state_dict(average)  # only to see that they fit: the next are what it goes on with
            self.codec.load_state_dict(without_prefix("codec", tensors))
            if self.adversary is not None:
                self.adversary.restore(without_prefix("adversary", tensors))
        except RuntimeError as error:
            why = " ".join(str(error).split())[:300]
            raise TrainingError(f"{self.run}: the checkpoint is of another architecture ({why})") from None
        except ValueError as error:
            raise damaged(self.run, error) from None
        self.average.values = {name: self.fabric.to_device(value) for name, value in average.items()}
        try:
            restore_optimizer(self.optimizer, without_prefix("optimizer", tensors))
        except ValueError as error:
            raise damaged(self.run, error) from None
        self.step, self.quantizing, self._running_loss = numbers["step"], quantizing, loss

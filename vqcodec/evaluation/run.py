"""An evaluation: every clip through every codec at every rate, scored, over processes, resumable."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from vqcodec.atomic import output_errors
from vqcodec.errors import ConfigError, OutputError, VqcodecError
from vqcodec.evaluation.alignment import align
from vqcodec.evaluation.clips import EvaluationClip, clip_hash, find_clips, read_clip
from vqcodec.evaluation.coded import Coded
from vqcodec.evaluation.entries import Entry, name_of, open_all, opened, parse_entry
from vqcodec.evaluation.folder import (
    Settings,
    audio_folder,
    codes_path,
    original_path,
    take_path,
    write_audio,
    write_codes,
    write_settings,
)
from vqcodec.evaluation.results import RESULTS, Result, ResultsFile, finished, read_results
from vqcodec.metrics import METRICS, Metric, wer_by

DEFAULT_METRICS = ("pesq_wb", "stoi", "estoi", "visqol", "si_sdr")


@dataclass(frozen=True)
class Job:
    """One clip, one codec, one rate: all that another process needs."""

    clip: EvaluationClip
    entry: Entry
    kbps: float | None
    metrics: tuple[str, ...]
    out: Path
    keeps_audio: bool
    recogniser: str | None = None


def evaluate(
    sources: Sequence[str | Path],
    out: Path,
    *,
    codecs: Sequence[str],
    kbps: Sequence[float],
    metrics: Sequence[str] = DEFAULT_METRICS,
    externals: Mapping[str, str] | None = None,
    recogniser: str | None = None,
    listen: int = 6,
    workers: int = 1,
    resume: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Settings:
    """Evaluate `codecs` on the clips of `sources` at the rates `kbps`; results go to the folder `out`.

    A codec is NAME, NAME@kbps/kbps for rates of its own, or LABEL=NAME. One that is not installed is skipped; the
    settings returned say so. The audio of `listen` clips is kept. With `recogniser`, a command with {wav} that prints
    what is said, wer is measured as well, against the column text of the manifest if there is one. With `resume`, what
    `out` holds of the same versions stays and only the rest is done.

    Raises ConfigError for unknown names, AudioError for sources without audio, OutputError for a folder that has
    results already, VqcodecError if a worker dies.
    """
    metrics = [*metrics, *(["wer"] if recogniser is not None and "wer" not in metrics else [])]
    _check_metrics(metrics, recogniser)
    own = audio_folder(out).resolve()
    clips = [clip for clip in find_clips(sources) if own not in clip.path.resolve().parents]
    entries, skipped = open_all([parse_entry(text, externals or {}) for text in codecs])
    rates = {name: opened(entry).rates_kbps(list(entry.kbps or kbps)) for name, entry in entries.items()}
    notes = [note for name, entry in entries.items() if (note := _moved(name, entry.kbps or kbps, rates[name]))]
    settings = Settings(list(entries), skipped, list(metrics), _to_listen(clips, listen), notes)
    done = _prepare(out, settings, resume=resume)
    jobs = [
        Job(clip, entry, rate, tuple(metrics), out, clip.name in settings.listen, recogniser)
        for clip in clips
        for name, entry in entries.items()
        for rate in rates[name]
    ]
    jobs = [job for job in jobs if not _is_done(job, done)]
    with ResultsFile(out / RESULTS) as file:
        for number, result in enumerate(_run_all(jobs, workers), start=1):
            file.add(result)
            if on_progress is not None:
                on_progress(number, len(jobs))
    return settings


def run_job(job: Job) -> Result:
    """Code, align and score. What cannot be read or coded becomes a result with an error."""
    codec, name = opened(job.entry), name_of(job.entry)
    result = Result(name, codec.version, job.clip.name, job.kbps, clip_hash=clip_hash(job.clip.path))
    result = replace(result, columns=dict(job.clip.columns))
    try:
        wave, rate_hz = read_clip(job.clip.path)
        coded = codec.run(wave, rate_hz, job.kbps)
    except VqcodecError as error:
        return replace(result, error=str(error))
    aligned = align(wave, coded.wave_hat, rate_hz)
    if job.keeps_audio:
        write_audio(original_path(job.out, job.clip.name), wave, rate_hz)
        write_audio(take_path(job.out, name, job.kbps, job.clip.name), aligned.wave_hat, rate_hz)
    if coded.codes is not None:
        write_codes(codes_path(job.out, name, job.kbps, job.clip.name), coded.codes)
    measured = {name: _metric(name, job).measure(wave, aligned.wave_hat, rate_hz) for name in job.metrics}
    return replace(
        _with_rates(result, coded, len(wave), rate_hz),
        delay_samples=aligned.delay_samples,
        scores={metric: one.value for metric, one in measured.items()},
        undefined={metric: one.reason for metric, one in measured.items() if one.reason is not None},
    )


def _metric(name: str, job: Job) -> Metric:
    if name == "wer" and job.recogniser is not None:
        return wer_by(job.recogniser, job.clip.columns.get("text"))
    return METRICS[name]


def _with_rates(result: Result, coded: Coded, length_samples: int, rate_hz: int) -> Result:
    seconds = length_samples / rate_hz
    payload = coded.payload_bytes
    return replace(
        result,
        rate_hz=rate_hz,
        seconds=seconds,
        kbps=8 * len(coded.data) / seconds / 1000,
        payload_kbps=None if payload is None else 8 * payload / seconds / 1000,
        encode_seconds=coded.encode_seconds,
        decode_seconds=coded.decode_seconds,
        codebook_size=coded.codebook_size,
    )


def _check_metrics(metrics: Sequence[str], recogniser: str | None) -> None:
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise ConfigError(f"there is no metric {unknown[0]!r}; there are {', '.join(METRICS)}")
    if recogniser is not None:
        wer_by(recogniser)
    elif "wer" in metrics:
        raise ConfigError("wer needs a recogniser, a command with {wav} that prints what is said")


def _to_listen(clips: Sequence[EvaluationClip], count: int) -> list[str]:
    """Names of `count` clips, evenly over all."""
    count = min(count, len(clips))
    return [clips[i * len(clips) // count].name for i in range(count)]


def _moved(name: str, asked: Sequence[float], rates: Sequence[float | None]) -> str | None:
    """A note where a codec does not have the rates that were asked."""
    had = [rate for rate in rates if rate is not None]
    if not had or set(had) == set(asked):
        return None
    ran, wanted = (", ".join(f"{rate:g}" for rate in some) for some in (had, asked))
    return f"{name} ran at {ran} kbps, what it has nearest to {wanted}"


def _prepare(out: Path, settings: Settings, *, resume: bool) -> dict[tuple[str, str, float | None], Result]:
    """Make the folder; what it holds already, by key."""
    with output_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    has_results = (out / RESULTS).exists()
    if has_results and not resume:
        raise OutputError(f"{out}: has results already; use --resume to go on, or another folder")
    done = finished(read_results(out), settings.metrics) if has_results else {}
    write_settings(out, settings)
    return done


def _is_done(job: Job, done: Mapping[tuple[str, str, float | None], Result]) -> bool:
    """Of this file, by this version of the codec, and with its audio where that is to be kept."""
    name = name_of(job.entry)
    result = done.get((name, job.clip.name, job.kbps))
    now = (opened(job.entry).version, clip_hash(job.clip.path))
    if result is None or (result.version, result.clip_hash) != now:
        return False
    return not job.keeps_audio or take_path(job.out, name, job.kbps, job.clip.name).exists()


def _run_all(jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    """Results as they come; here, or on `workers` processes of one thread each."""
    if workers == 1 or len(jobs) < 2:
        yield from map(run_job, jobs)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start_worker) as pool:
        futures = [pool.submit(run_job, job) for job in jobs]
        try:
            yield from (future.result() for future in as_completed(futures))
        except BrokenProcessPool:
            raise VqcodecError("a worker process died (out of memory?); use --resume to go on") from None
        finally:
            pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """One thread each, set before torch is imported; Ctrl-C is for the main process, which ends the others."""
    os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)

"""An evaluation: every clip through every codec at every rate and condition, scored, over processes, resumable."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vqcodec.audio.discover import Clip, find_audio
from vqcodec.errors import ConfigError, OutputError
from vqcodec.evaluation.clips import EvaluationClip, find_clips, longest_first
from vqcodec.evaluation.codecs.codec_spec import Entry, name_of, open_all, opened, parse_entry
from vqcodec.evaluation.coding import packets_of
from vqcodec.evaluation.conditions import PLAIN, Condition
from vqcodec.evaluation.folder import Settings, audio_folder, take_path, write_settings
from vqcodec.evaluation.messages import Job, run_jobs
from vqcodec.evaluation.noise import Noise, draw_noise
from vqcodec.evaluation.results import RESULTS, Key, Result, ResultsFile, finished, read_results
from vqcodec.metrics import METRICS
from vqcodec.metrics.recognition import RECOGNISED
from vqcodec.output import output_errors

DEFAULT_METRICS = (
    *("pesq_wb", "stoi", "estoi", "visqol", "si_sdr"),
    *("pulse_periodicity_2_4khz", "grid_50hz", "level_4_7khz", "f0_correlation"),
)
"""The second line catches faults: noise in the place of harmonics, a buzz, dullness, another text or speaker."""


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    codecs:     NAME, NAME@kbps/kbps for rates of its own, or LABEL=NAME for another name
    kbps:       rates of codecs without their own
    metrics:    names of `vqcodec.metrics.METRICS`
    externals:  codecs by their command lines, as `codecs.external` reads them
    recogniser: a command with {wav} that prints what is said, or whisper:FOLDER: wer and cer are measured as well, if
                neither is named, against the column text of the manifest if there is one
    listen:     clips whose audio is kept
    conditions: what happens to clips; each is compared
    """

    codecs: Sequence[str]
    kbps: Sequence[float]
    metrics: Sequence[str] = DEFAULT_METRICS
    externals: Mapping[str, str] = field(default_factory=dict)
    recogniser: str | None = None
    listen: int = 6
    conditions: Sequence[Condition] = (PLAIN,)

    @property
    def all_metrics(self) -> list[str]:
        """The metrics, and wer and cer where there is a recogniser."""
        are_added = self.recogniser is not None and not RECOGNISED.keys() & set(self.metrics)
        return [*self.metrics, *(RECOGNISED if are_added else [])]


def evaluate(
    sources: Sequence[str | Path],
    out: Path,
    comparison: Comparison,
    *,
    workers: int = 0,
    resume: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Settings:
    """Compare codecs on the clips of `sources`; results go to the folder `out`.

    A codec that is not installed is skipped; the settings returned say so. With `resume`, what `out` holds of the same
    versions stays and only the rest is done. `workers` processes do the work: one that dies costs what it died of,
    which its result names. 0: this process does it.

    Raises ConfigError for unknown names and for codecs without packets where some are lost, AudioError for sources (of
    clips or noise) without audio, OutputError for a folder that has results already, WorkerError if workers die while
    they start.
    """
    _check_metrics(comparison.all_metrics, comparison.recogniser)
    clips = _clips_of(sources, out)
    codecs = _open_codecs(comparison)
    listen = _to_listen(clips, comparison.listen)
    notes = [*codecs.notes, *_notes_of_texts(comparison.all_metrics, clips)]
    settings = Settings(list(codecs.entries), codecs.skipped, comparison.all_metrics, listen, notes)
    noises = {condition.noise: find_audio([condition.noise]) for condition in comparison.conditions if condition.noise}
    done = _prepare(out, settings, resume=resume)
    jobs = [job for job in _jobs(out, comparison, clips, codecs, noises, settings) if not _is_done(job, done)]
    with ResultsFile(out / RESULTS) as file, contextlib.closing(run_jobs(jobs, workers=workers)) as results:
        for count, result in enumerate(results, start=1):
            file.add(result)
            if on_progress is not None:
                on_progress(count, len(jobs))
    return settings


@dataclass(frozen=True)
class _Codecs:
    """Codecs that are there, with the rates that each runs at, and what is to be said of the others."""

    entries: Mapping[str, Entry]
    rates: Mapping[str, Sequence[float | None]]
    skipped: Mapping[str, str]
    notes: list[str]


def _clips_of(sources: Sequence[str | Path], out: Path) -> list[EvaluationClip]:
    """The clips of `sources`, without what an evaluation in `out` has kept."""
    kept = audio_folder(out).resolve()
    return [clip for clip in find_clips(sources) if kept not in clip.path.resolve().parents]


def _open_codecs(comparison: Comparison) -> _Codecs:
    """The codecs of a comparison. Raises ConfigError where packets are lost and one has none."""
    entries, skipped = open_all([parse_entry(text, comparison.externals) for text in comparison.codecs])
    if any(condition.loss is not None for condition in comparison.conditions):
        for entry in entries.values():
            packets_of(opened(entry))
    asked = {name: list(entry.kbps or comparison.kbps) for name, entry in entries.items()}
    rates = {name: opened(entry).rates_kbps(asked[name]) for name, entry in entries.items()}
    notes = [note for name in entries if (note := _moved(name, asked[name], rates[name]))]
    return _Codecs(entries, rates, skipped, notes)


def _jobs(
    out: Path,
    comparison: Comparison,
    clips: Sequence[EvaluationClip],
    codecs: _Codecs,
    noises: Mapping[str, Sequence[Clip]],
    settings: Settings,
) -> Iterator[Job]:
    """Every clip, the longest first, under every condition through every codec at each of its rates."""
    metrics, recogniser = tuple(settings.metrics), comparison.recogniser
    for clip in longest_first(clips):
        keeps_audio = clip.name in settings.listen
        for condition in dict.fromkeys(comparison.conditions):
            noise = _noise_of(clip, condition, noises)
            for name, entry in codecs.entries.items():
                for rate in codecs.rates[name]:
                    yield Job(clip, entry, rate, metrics, out, keeps_audio, recogniser, condition, noise)


def _noise_of(clip: EvaluationClip, condition: Condition, noises: Mapping[str, Sequence[Clip]]) -> Noise | None:
    """What is heard under a clip."""
    return None if condition.noise is None else draw_noise(noises[condition.noise], clip.name, condition.noise_seed)


def _check_metrics(metrics: Sequence[str], recogniser: str | None) -> None:
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise ConfigError(f"there is no metric {unknown[0]!r}; there are {', '.join(METRICS)}")
    wanting = [name for name in metrics if name in RECOGNISED]
    if recogniser is not None:
        for make in RECOGNISED.values():
            make(recogniser, None)
    elif wanting:
        raise ConfigError(
            f"{wanting[0]} needs a recogniser, a command with {{wav}} that prints what is said, or whisper:FOLDER"
        )


def _notes_of_texts(metrics: Sequence[str], clips: Sequence[EvaluationClip]) -> list[str]:
    """What words and characters are held against."""
    names = " and ".join(name for name in metrics if name in RECOGNISED)
    if not names:
        return []
    given, heard = "the column text of the manifest", "what the recogniser hears in the original"
    texts = sum("text" in clip.columns for clip in clips)
    if texts in (0, len(clips)):
        return [f"{names}: against {given if texts else heard}"]
    return [f"{names}: of {texts} clips against {given}, of the other {len(clips) - texts} against {heard}"]


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


def _prepare(out: Path, settings: Settings, *, resume: bool) -> dict[Key, Result]:
    """Make the folder; what it holds already, by key."""
    with output_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    has_results = (out / RESULTS).exists()
    if has_results and not resume:
        raise OutputError(f"{out}: has results already; use --resume to go on, or another folder")
    done = finished(read_results(out), settings.metrics) if has_results else {}
    write_settings(out, settings)
    return done


def _is_done(job: Job, done: Mapping[Key, Result]) -> bool:
    """Tell whether a result is of this file, by this version of the codec, and has its audio where that is kept."""
    name = name_of(job.entry)
    wanted = Result(name, "", job.clip.name, job.kbps, condition=job.condition).key
    result = done.get(wanted)
    now = (opened(job.entry).version, job.clip_hash)
    if result is None or (result.version, result.clip_hash) != now:
        return False
    return not job.keeps_audio or take_path(job.out, name, job.kbps, job.clip.name, job.condition).exists()

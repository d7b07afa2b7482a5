"""The jobs of an evaluation, a clip through a codec at a rate each: done here, or by processes that may die of one."""

import hashlib
import math
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vqcodec.arrays import Wave
from vqcodec.errors import VqcodecError
from vqcodec.evaluation.clips import EvaluationClip, clip_hash, read_clip
from vqcodec.evaluation.codecs.codec_spec import Entry, name_of, opened
from vqcodec.evaluation.coding import Rendering, code, under
from vqcodec.evaluation.conditions import PLAIN, Condition
from vqcodec.evaluation.folder import codes_path, original_path, rates_path, take_path, write_array, write_audio
from vqcodec.evaluation.noise import Noise
from vqcodec.evaluation.results import Result, said_of
from vqcodec.metrics import METRICS, Measured, Metric
from vqcodec.metrics.recognition import RECOGNISED
from vqcodec.system.workers import Pool, Work
from vqcodec.texts import printable

_DEATHS = 2
"""Deaths at one step of a job, before that step is to blame: a process may be killed for what another took."""

_CODING = "coding"
"""The step before the metrics, which are steps by their names."""

_LONGEST_LINE = 200

_Key = tuple[str, Entry, float | None, Condition]


@dataclass(frozen=True)
class Job:
    """One clip, one codec, one rate, one condition: all that another process needs.

    failed: metrics that killed their process, and how; they are left out.
    """

    clip: EvaluationClip
    entry: Entry
    kbps: float | None
    metrics: tuple[str, ...]
    out: Path
    keeps_audio: bool
    recogniser: str | None = None
    condition: Condition = PLAIN
    noise: Noise | None = None
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def clip_hash(self) -> str | None:
        """Return what tells from others what is coded: the clip, and its noise if there is any."""
        hashed = clip_hash(self.clip.path, self.clip.excerpt)
        if self.noise is None:
            return hashed
        return hashlib.sha256(f"{hashed} {self.noise.mark()}".encode()).hexdigest()[:16]

    @property
    def key(self) -> _Key:
        """Return what tells jobs of an evaluation apart."""
        return self.clip.name, self.entry, self.kbps, self.condition


def run_jobs(jobs: Sequence[Job], *, workers: int) -> Generator[Result]:
    """Yield results as they come, from `workers` processes; 0: from this one, which a crash of a library then ends.

    A job whose process died is done again. At its second death of one step, that is a failure in the result, and the
    metrics that it has besides are still computed. Raises what a job raised, and WorkerError if processes die while
    they start.
    """
    if workers == 0:
        yield from map(run_job, jobs)
        return
    # Processes of one thread each share the cores; one alone has them all.
    threads = {"OMP_NUM_THREADS": "1"} if workers > 1 else {}
    waiting, history = deque(jobs), _History()
    size = min(workers, len(jobs))
    with Pool[Job](_make, (), size=size, name="vqcodec evaluate", environment=threads, imports=["torch"]) as pool:
        for event in pool.run(waiting):
            if event.is_done:
                yield event.value
            elif event.death is None:
                history.steps[event.task.key] = event.value
            else:
                follows = history.after_death(event.task, event.death)
                if isinstance(follows, Result):
                    yield follows
                else:
                    waiting.appendleft(follows)


@dataclass
class _History:
    """Who died of what. steps: the one that was last begun, by job."""

    steps: dict[_Key, str] = field(default_factory=dict)
    deaths: Counter[tuple[_Key, str]] = field(default_factory=Counter)

    def after_death(self, job: Job, death: str) -> Job | Result:
        """Tell how the job goes on after a process at it ended with `death`, or its result if it does not."""
        step = self.steps.pop(job.key, _CODING)
        self.deaths[job.key, step] += 1
        if self.deaths[job.key, step] < _DEATHS:
            return job
        if step == _CODING:
            return replace(_begun(job), error=f"{_point(job)}: the process that coded it {death}")
        return replace(job, failed={**job.failed, step: f"the process that measured it {death}"})


def run_job(job: Job, *, on_step: Callable[[str], None] | None = None) -> Result:
    """Code, align and score; `on_step` hears of each step before it is done.

    What cannot be read or coded becomes a result with an error, a metric that breaks off a failure of the result.
    """
    on_step = on_step or (lambda _: None)
    on_step(_CODING)
    result = _begun(job)
    try:
        wave, rate_hz = read_clip(job.clip.path, job.clip.excerpt)
        wave = under(wave, rate_hz, job.condition, job.noise)
        rendering = code(opened(job.entry), wave, rate_hz, job.kbps, job.condition, clip=job.clip.name)
    except VqcodecError as error:
        return replace(result, error=printable(str(error)))
    except Exception as error:  # whatever a library raises of an odd clip: the others go on
        return replace(result, error=f"{_point(job)}: {_told(error)}")
    _keep(job, result.codec, wave, rendering, rate_hz)
    result = _with_rates(result, rendering, rate_hz)
    return _with_scores(result, job, wave, rendering.wave_hat, on_step)


def _keep(job: Job, codec: str, wave: Wave, rendering: Rendering, rate_hz: int) -> None:
    """Write the audio to listen to, and the codes."""
    what = job.clip.name, job.condition
    if job.keeps_audio:
        write_audio(original_path(job.out, *what), wave, rate_hz)
        take = take_path(job.out, codec, job.kbps, *what)
        write_audio(take, rendering.wave_hat, rate_hz)
        if rendering.coded.kbps_over_time is not None:
            write_array(rates_path(take), rendering.coded.kbps_over_time)
    if rendering.coded.codes is not None:
        write_array(codes_path(job.out, codec, job.kbps, *what), rendering.coded.codes)


def _make() -> Work:
    return lambda job, say: run_job(job, on_step=say)


def _begun(job: Job) -> Result:
    """The result of a job of which nothing is known yet."""
    codec, clip = opened(job.entry), job.clip
    return Result(
        name_of(job.entry),
        codec.version,
        clip.name,
        job.kbps,
        clip_hash=job.clip_hash,
        columns=dict(clip.columns),
        condition=job.condition,
        trained_on=tuple(codec.trained_on),
    )


def _with_rates(result: Result, rendering: Rendering, rate_hz: int) -> Result:
    coded, seconds = rendering.coded, rendering.coded_seconds
    payload = coded.payload_bytes
    return replace(
        result,
        rate_hz=rate_hz,
        seconds=seconds,
        kbps=8 * len(coded.data) / seconds / 1000,
        payload_kbps=None if payload is None else 8 * payload / seconds / 1000,
        encode_seconds=coded.encode_seconds,
        decode_seconds=coded.decode_seconds,
        delay_samples=rendering.delay_samples,
        codebook_size=coded.codebook_size,
    )


def _with_scores(result: Result, job: Job, wave: Wave, wave_hat: Wave, on_step: Callable[[str], None]) -> Result:
    """Measure every metric that has not killed a process of this job."""
    assert result.rate_hz is not None
    measured: dict[str, Measured] = {}
    failed = dict(job.failed)
    for name in job.metrics:
        if name in failed:
            continue
        on_step(name)
        try:
            measured[name] = _metric(name, job).measure(wave, wave_hat, result.rate_hz)
        except VqcodecError:
            raise
        except Exception as error:  # as in `run_job`
            failed[name] = _told(error)
    return replace(
        result,
        scores={name: measured[name].value if name in measured else math.nan for name in job.metrics},
        undefined={
            name: measurement.reason for name, measurement in measured.items() if measurement.reason is not None
        },
        failed=failed,
    )


def _metric(name: str, job: Job) -> Metric:
    if name in RECOGNISED and job.recogniser is not None:
        return RECOGNISED[name](job.recogniser, job.clip.columns.get("text"))
    return METRICS[name]


def _point(job: Job) -> str:
    """The codec, its rate and the condition."""
    return name_of(job.entry) + said_of(job.kbps, job.condition)


def _told(error: Exception) -> str:
    """An exception of another library in one line."""
    return printable(" ".join(f"{type(error).__name__}: {error}".split()))[:_LONGEST_LINE]

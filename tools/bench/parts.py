"""The parts of the benchmark that one process can measure; each returns a Markdown table."""

import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from measure import medians, speech, table
from peers import PEERS, peer_jobs
from torch.utils.flop_counter import FlopCounterMode

import vqcodec
from vqcodec.bitstream import Header, VqcReader, VqcWriter
from vqcodec.models.engine import Engine
from vqcodec.models.zoo import load_own
from vqcodec.nn.conv import run_layers
from vqcodec.nn.linear import linear
from vqcodec.sessions.stream import DecodeSession, EncodeSession

if TYPE_CHECKING:
    from vqcodec.models.codec import Codec


def speed(seconds: float, rounds: int) -> str:
    """Times real time, alone and against the peers, all codebooks (6 kbps)."""
    jobs: dict[str, Callable[[], object]] = {}
    for name, engine in (("torch", load_own()), ("onnx", vqcodec.load_onnx())):
        jobs |= _engine_jobs(name, engine, seconds)
    rows = jobs | _file_jobs(load_own(), seconds)
    times = medians(rows | peer_jobs(seconds), rounds, warm=rounds > 1)
    lines = []
    for name, taken in times.items():
        kind = name.split()[-1]
        ratios = [f"{times[f'{peer} {kind}'] / taken:.0f}" for peer in PEERS] if name in jobs else [""] * len(PEERS)
        lines.append([name, f"{seconds / taken:.3g}", *ratios])
    return table(["what", "x real time", *(f"against {peer}" for peer in PEERS)], lines)


def _engine_jobs(name: str, engine: Engine, seconds: float) -> dict[str, Callable[[], object]]:
    wave = speech(16000, seconds)[None]
    codes = EncodeSession(engine).push(wave)
    return {
        f"vqcodec, {name}: encode": lambda: EncodeSession(engine).push(wave),
        f"vqcodec, {name}: decode": lambda: DecodeSession(engine).push(codes),
    }


def _file_jobs(codec: "Codec", seconds: float) -> dict[str, Callable[[], object]]:
    wave = speech(16000, seconds)
    codes = EncodeSession(codec).push(wave[None])
    data = vqcodec.compress(wave, 16000, model=codec)
    return {
        "vqcodec, torch: compress (wave to .vqc)": lambda: vqcodec.compress(wave, 16000, model=codec),
        "vqcodec, torch: decompress": lambda: vqcodec.decompress(data, model=codec),
        "of that: codes to .vqc": lambda: _write_codes(codes, codec),
        "of that: .vqc to codes": lambda: list(VqcReader(io.BytesIO(data)).chunks(entropy=codec.entropy)),
    }


def _write_codes(codes: np.ndarray, codec: "Codec") -> bytes:
    header = Header(b"test", 16000, codec.hop_length, 16000, 1, None, codes.shape[1], codec.codebook_size)
    file = io.BytesIO()
    writer = VqcWriter(file, header, entropy=codec.entropy)
    writer.write(codes)
    writer.close()
    return file.getvalue()


def frames(seconds: float) -> str:
    """Milliseconds of computing per frame of 20 ms in a stream, medians, all codebooks."""
    wave = speech(16000, seconds)[None]
    rows = []
    for name, engine in (("torch", load_own()), ("onnx", vqcodec.load_onnx())):
        encoding, decoding = EncodeSession(engine), DecodeSession(engine)
        spent = []
        for start in range(0, wave.shape[1] - engine.hop_length + 1, engine.hop_length):
            times = [time.perf_counter()]
            codes = encoding.push(wave[:, start : start + engine.hop_length])
            times.append(time.perf_counter())
            decoding.push(codes)
            times.append(time.perf_counter())
            spent.append(np.diff(times))
        encode, decode = 1000 * np.median(spent, axis=0)
        rows.append([name, f"{encode:.2f}", f"{decode:.2f}", f"{encode + decode:.2f}"])
    return table(["engine", "encode, ms per frame", "decode, ms per frame", "both"], rows)


def arithmetic(seconds: float, rounds: int) -> str:
    """Floating-point operations per second of audio and of computing, by stage, against a matrix product."""
    with torch.no_grad():
        jobs = _stages(seconds)
        square = torch.randn(1024, 1024)
        products = {
            "a matrix product of oneDNN": lambda: linear(square, square, None),
            "a matrix product of BLAS": lambda: square @ square,
        }
        times = medians(jobs | products, rounds, warm=rounds > 1)
    work = {
        name: operations(job) for name, job in (jobs | {"a matrix product of BLAS": lambda: square @ square}).items()
    }
    work["a matrix product of oneDNN"] = work["a matrix product of BLAS"]
    peak = max(work[name] / times[name] for name in products)
    rows = []
    for name, taken in times.items():
        per_second = f"{work[name] / seconds / 1e6:.0f}" if name in jobs else ""
        rate = work[name] / taken
        rows.append([name, per_second, f"{rate / 1e9:.0f}", f"{100 * rate / peak:.0f} %"])
    return table(["stage", "MFLOP per second of audio", "GFLOP/s", "of the faster product"], rows)


def _stages(seconds: float) -> dict[str, Callable[[], object]]:
    """The stages of the bundled model, each on its own input."""
    codec = load_own()
    wave = torch.from_numpy(speech(16000, seconds))[None]
    encoder, decoder = codec.encoder.layers, [*codec.decoder.layers, codec.decoder.head]
    split, join = codec.config.encoder_stft_blocks + 2, codec.config.decoder_blocks + 1
    spectrum = run_layers(encoder[:1], wave)[0]
    fast = run_layers(encoder[1:split], spectrum)[0]
    latent = codec.encoder(wave)[0]
    quantized = codec.quantizer.decode(codec.quantizer.encode(latent, codec.total_codebooks))
    body = run_layers(decoder[:join], quantized)[0]
    return {
        "encoder at 200 Hz": lambda: run_layers(encoder[1:split], spectrum),
        "encoder at 50 Hz": lambda: run_layers(encoder[split:], fast),
        "residual quantizer": lambda: codec.quantizer.encode(latent, codec.total_codebooks),
        "decoder at 50 Hz": lambda: run_layers(decoder[:join], quantized),
        "decoder at 200 Hz": lambda: run_layers(decoder[join:-1], body),
    }


def operations(job: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products and convolutions of a job."""
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:
        job()
    return int(counter.get_total_flops())

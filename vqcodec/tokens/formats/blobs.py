"""Codes of one utterance as bytes: a .npy, or the .vqc of a mono file, which any vqcodec decodes by itself."""

import io

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream import Header, VqcReader, VqcWriter
from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.bitstream.spec import FINGERPRINT_BYTES
from vqcodec.errors import ModelError, TokensError, VqcodecError
from vqcodec.tokens.formats import format_of
from vqcodec.tokens.plan import Plan, Settings
from vqcodec.tokens.utterances import TokenizedUtterance


def holds_vqc(settings: Settings) -> bool:
    """Tell whether the codes of an utterance are the bytes of a .vqc."""
    return settings.entropy_coded or format_of(settings.format).holds_vqc


def codes_to_bytes(row: TokenizedUtterance, settings: Settings, entropy: EntropyModel | None) -> bytes:
    """Return a .npy or .vqc, as the settings say."""
    if holds_vqc(settings):
        return codes_to_vqc(row, settings, entropy)
    buffer = io.BytesIO()
    np.save(buffer, row.codes, allow_pickle=False)
    return buffer.getvalue()


def codes_to_vqc(row: TokenizedUtterance, settings: Settings, entropy: EntropyModel | None) -> bytes:
    """Return the bytes of the mono .vqc that holds a row's codes."""
    header = Header(
        fingerprint=bytes.fromhex(settings.fingerprint)[:FINGERPRINT_BYTES],
        sample_rate_hz=settings.sample_rate_hz,
        hop_length=settings.hop_length,
        original_rate_hz=row.original_rate_hz,
        channels=1,
        samples=row.samples,
        num_codebooks=settings.num_codebooks,
        codebook_size=settings.codebook_size,
    )
    buffer = io.BytesIO()
    writer = VqcWriter(buffer, header, entropy=entropy)
    writer.write(row.codes[None])
    writer.close()
    return buffer.getvalue()


def codes_of_bytes(data: bytes, settings: Settings, entropy: EntropyModel | None) -> NDArray[np.uint16]:
    """Read the codes [K, F] of a .npy or .vqc. Raises TokensError for damage, ModelError without its entropy model."""
    try:
        if holds_vqc(settings):
            chunks = list(VqcReader(io.BytesIO(data)).chunks(entropy=entropy))
            codes = [chunk.codes[0] for chunk in chunks] or [np.zeros((settings.num_codebooks, 0), np.uint16)]
            if any(part.min(initial=0) < 0 for part in codes):
                raise TokensError("frames of fewer codebooks than others, where tokens have as many in all")
            return np.concatenate(codes, axis=1).astype(np.uint16)
        array = np.load(io.BytesIO(data), allow_pickle=False)
        if array.dtype != np.uint16:
            raise TokensError(f"an array of {array.dtype}, not of uint16")
        return np.asarray(array, np.uint16)
    except (ModelError, TokensError):
        raise
    except (VqcodecError, ValueError, OSError, EOFError, MemoryError) as error:
        raise TokensError(f"damaged codes ({error})") from None


def decoded(data: bytes, plan: Plan, entropy: EntropyModel | None) -> NDArray[np.uint16]:
    """Read codes [K, F] of a .npy or .vqc of the dataset. Raises TokensError, ModelError without its entropy model."""
    try:
        return codes_of_bytes(data, plan.settings, entropy)
    except ModelError as error:
        raise ModelError(f"{plan.folder}: {error}; give the weights of {plan.settings.model}") from None

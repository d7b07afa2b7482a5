"""Opus in wide band where it would not be by itself, and enhanced at the receiver."""

import json
import os
import shutil

import numpy as np
import pytest
from scipy.signal import welch

from vqcodec.errors import ConfigError, UnavailableError
from vqcodec.evaluation.alignment import align
from vqcodec.evaluation.codecs.registry import open_codec
from vqcodec.metrics import pesq_wb

ENHANCED = os.environ.get("VQCODEC_NPM", "")
"""A folder where npm has installed ogg-opus-decoder."""

DECODER = """
export class OggOpusDecoder {
  constructor({ speechQualityEnhancement, sampleRate }) {
    this.level = { lace: 0.25, nolace: 0.5 }[speechQualityEnhancement];
    this.samples = sampleRate / 100;
    this.ready = Promise.resolve();
  }
  async decodeFile(bytes) {
    const isOgg = String.fromCharCode(...bytes.slice(0, 4)) === "OggS";
    const errors = isOgg ? FAULTS : [{ message: "no Ogg" }];
    return { channelData: [new Float32Array(this.samples).fill(this.level).fill(2, 0, 1).fill(-2, 1, 2)], errors };
  }
}
"""

needs_opus = pytest.mark.skipif(shutil.which("opusenc") is None, reason="opusenc is not installed")
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def high_band_db(wave, wave_hat):
    """Power from 5 to 7.5 kHz against the original's."""
    hz, power = welch(np.stack([wave, wave_hat[: len(wave)]]), 16000, nperseg=512)
    return np.diff(10 * np.log10(power[:, (hz > 5000) & (hz < 7500)].sum(axis=1)))[0]


@pytest.fixture
def npm(tmp_path):
    """A folder with a decoder of that name, whose name has what a shell would take apart."""
    folder = tmp_path / "a folder; 'of' npm"
    package = folder / "node_modules" / "ogg-opus-decoder"
    package.mkdir(parents=True)
    facts = {"name": "ogg-opus-decoder", "version": "1", "type": "module", "exports": "./index.js"}
    (package / "package.json").write_text(json.dumps(facts))
    (package / "index.js").write_text(DECODER.replace("FAULTS", "[]"))
    return folder


@needs_opus
def test_wide_band_is_kept_where_opus_by_itself_gives_it_up(speech):
    for kbps in (6, 7.5, 9):
        coded = open_codec("opusenc-wb").run(speech, 16000, kbps)
        assert high_band_db(speech, align(speech, coded.wave_hat, 16000).wave_hat) > -3, kbps
        assert coded.payload_bytes * 8 / (len(speech) / 16000) / 1000 == pytest.approx(kbps, rel=0.15)
    plain = open_codec("opusenc").run(speech, 16000, 6)
    assert high_band_db(speech, align(speech, plain.wave_hat, 16000).wave_hat) < -40


@needs_opus
@needs_node
def test_the_decoder_is_told_what_to_do_and_its_samples_come_back(npm, speech):
    for name, level in (("opus-lace", 0.25), ("opus-nolace", 0.5)):
        codec = open_codec(f"{name}:{npm}")
        assert codec.name == name
        coded = codec.run(speech[:8000], 16000, 6)
        np.testing.assert_allclose(coded.wave_hat, [32767 / 32768, -1, *[level] * 158], atol=1e-6)
        assert coded.data == open_codec("opusenc-wb").run(speech[:8000], 16000, 6).data
    before = codec.version
    facts = npm / "node_modules" / "ogg-opus-decoder" / "package.json"
    facts.write_text(facts.read_text().replace('"1"', '"2"'))
    assert open_codec(f"opus-nolace:{npm}").version != before


@needs_opus
@needs_node
def test_what_the_decoder_says_is_one_line(npm, speech):
    (npm / "node_modules" / "ogg-opus-decoder" / "index.js").write_text(
        DECODER.replace("FAULTS", '[{ message: "OPUS_INVALID_PACKET" }]')
    )
    with pytest.raises(Exception, match=r"opus-lace, to decode: node ended with exit code 1: ") as caught:
        open_codec(f"opus-lace:{npm}").run(speech[:8000], 16000, 6)
    assert "\n" not in str(caught.value)


def test_without_a_folder_or_the_package_or_node_it_says_what_is_missing(npm, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="opus-lace needs the folder .* give opus-lace:FOLDER"):
        open_codec("opus-lace")
    with pytest.raises(UnavailableError, match="opus-nolace needs ogg-opus-decoder in .*; npm install --prefix"):
        open_codec(f"opus-nolace:{tmp_path}")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="opus-lace needs the program opusenc; apt install opus-tools nodejs"):
        open_codec(f"opus-lace:{npm}")


@needs_opus
@needs_node
@pytest.mark.skipif(not ENHANCED, reason="VQCODEC_NPM names no folder with ogg-opus-decoder")
def test_both_enhance_what_they_are_given(speech):
    """By PESQ at 6 kbps, where the paper has their largest gain; each with another wave, of the length of the clip."""
    waves = {}
    for name in ("opusenc-wb", f"opus-lace:{ENHANCED}", f"opus-nolace:{ENHANCED}"):
        coded = open_codec(name).run(speech, 16000, 6)
        assert len(coded.wave_hat) == pytest.approx(len(speech), abs=1600)
        waves[name.partition(":")[0]] = align(speech, coded.wave_hat, 16000).wave_hat
    scores = {name: pesq_wb(speech, wave, 16000) for name, wave in waves.items()}
    assert scores["opus-lace"] > scores["opusenc-wb"] + 0.1
    assert scores["opus-nolace"] > scores["opusenc-wb"] + 0.1
    assert np.abs(waves["opus-lace"] - waves["opus-nolace"]).max() > 0.01

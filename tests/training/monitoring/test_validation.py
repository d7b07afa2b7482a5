import sys

import numpy as np
import pytest
import soundfile

from vqcodec.errors import AudioError
from vqcodec.training.config import DataConfig
from vqcodec.training.monitoring.validation import ValidationClip, load_clips, validate_codec


def test_clips_are_the_parts_that_a_manifest_names(tmp_path, speech_path):
    manifest = tmp_path / "list.csv"
    manifest.write_text(f"path,start,duration\n{speech_path},1.5,0.4\n{speech_path},,\n")
    wave, rate_hz = soundfile.read(speech_path, dtype="float32")
    part, whole = load_clips(DataConfig(train=["none"], valid=[str(manifest)]), rate_hz)
    np.testing.assert_array_equal(part.wave, wave[round(1.5 * rate_hz) :][: round(0.4 * rate_hz)])
    np.testing.assert_array_equal(whole.wave, wave)
    soundfile.write(tmp_path / "two.wav", np.stack([0 * wave, wave], axis=1), rate_hz, subtype="FLOAT")
    manifest.write_text("path,start,end,channel\ntwo.wav,1.5,1.9,1\ntwo.wav,,,\n")
    part, first = load_clips(DataConfig(train=["none"], valid=[str(manifest)]), rate_hz)
    np.testing.assert_array_equal(part.wave, wave[round(1.5 * rate_hz) :][: round(0.4 * rate_hz)])
    np.testing.assert_array_equal(first.wave, 0 * wave)
    manifest.write_text(f"path,start,duration\n{speech_path},1.5,400\n")
    with pytest.raises(AudioError, match="is to end at 0:06:41.50"):
        load_clips(DataConfig(train=["none"], valid=[str(manifest)]), rate_hz)


def test_a_metric_that_is_not_installed_is_left_out_and_named(monkeypatch, toy_codec, speech):
    monkeypatch.setitem(sys.modules, "pesq", None)
    scores, left_out = validate_codec(toy_codec, [ValidationClip("one", speech[16000:32000])], [1, 2])
    assert list(scores) == ["codebooks", "kbps", "estoi", "si_sdr"]
    assert list(left_out) == ["pesq_wb"]
    assert "needs pesq; pip install" in left_out["pesq_wb"]

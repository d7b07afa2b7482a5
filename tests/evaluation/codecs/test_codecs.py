"""Codecs under test: real bytes, the rate that was asked, waves at the rate of the clip."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import vqcodec
from vqcodec.audio.resample import resample
from vqcodec.errors import AudioError, ConfigError, UnavailableError
from vqcodec.evaluation.alignment import align
from vqcodec.evaluation.codecs.programs import Program, ProgramCodec
from vqcodec.evaluation.codecs.registry import CODECS, open_codec, parse_spec
from vqcodec.metrics import pesq_wb, si_sdr
from vqcodec.models.zoo import open_weights

# Rates in kbps, and how far a file of 5 s may be off: Ogg's headers and pages, LC3's two bytes per frame, rounding.
RATED = {
    "opus": ([6, 12, 24], 0.35),
    "mp3": ([8, 16], 0.05),
    "opusenc": ([6, 12, 24], 0.35),
    "opusenc-wb": ([7.5, 12, 24], 0.35),
    "codec2": ([0.7, 1.6, 3.2], 0.2),
    "speex": ([4, 10], 0.25),
    "lc3": ([16, 32], 0.15),
    "amr-wb": ([6.6, 12.65, 23.85], 0.1),
}


def opened(name, externals=None):
    """The codec; where CI is set, every program must be there."""
    try:
        return open_codec(name, externals)
    except UnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("name", RATED)
def test_files_have_the_rate_that_was_asked(speech, name):
    codec = opened(name)
    rates, tolerance = RATED[name]
    assert codec.rates_kbps([*rates, rates[0]]) == rates
    kbps = []
    for rate in rates:
        coded = codec.run(speech, 16000, rate)
        kbps.append(8 * len(coded.data) / (len(speech) / 16000) / 1000)
        assert kbps[-1] == pytest.approx(rate, rel=tolerance)
        assert coded.payload_bytes is None or 0.6 * len(coded.data) < coded.payload_bytes <= len(coded.data)
        assert coded.encode_seconds > 0
        assert coded.decode_seconds > 0
    assert kbps == sorted(kbps)


@pytest.mark.parametrize("name", ["speech-16k", "opus", "mp3", "opusenc", "speex", "lc3", "amr-wb"])
@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_speech_at_any_rate_comes_back_at_that_rate(speech, name, rate_hz):
    codec = opened(name)
    wave = resample(speech[None], 16000, rate_hz)[0]
    coded = codec.run(wave, rate_hz, codec.rates_kbps([24])[0])
    assert coded.wave_hat.dtype == np.float32
    assert len(coded.wave_hat) == pytest.approx(len(wave), abs=0.1 * rate_hz)
    assert si_sdr(wave, align(wave, coded.wave_hat, rate_hz).wave_hat, rate_hz) > 1


@pytest.mark.parametrize("name", ["flac", "pcm"])
def test_ceilings_have_no_rate_and_no_loss_but_rounding(speech, name):
    codec = opened(name)
    assert codec.rates_kbps([3, 6]) == [None]
    coded = codec.run(speech, 16000, None)
    np.testing.assert_allclose(coded.wave_hat, speech, atol=1 / 32767)


def test_our_model_is_its_file_and_its_codes(speech):
    codec = opened("speech-16k")
    assert codec.rates_kbps([1.5, 3, 100]) == [1.5, 3, 6]
    coded = codec.run(speech, 16000, 3)
    assert coded.data == vqcodec.compress(speech, 16000, kbps=3)
    np.testing.assert_array_equal(coded.wave_hat, vqcodec.decompress(coded.data)[0][0])
    assert coded.codes.shape == (6, -(-len(speech) // 320))
    assert coded.codes.max() < coded.codebook_size == 1024
    fixed = opened("fixed:speech-16k").run(speech, 16000, 3)
    np.testing.assert_array_equal(fixed.codes, coded.codes)
    assert fixed.payload_bytes > 1.1 * coded.payload_bytes


def test_a_rate_that_follows_the_sound_is_met_and_told_over_time(speech):
    """What the codes take in each tenth of a second is all but the container of the file."""
    wave = np.concatenate((speech, np.zeros(32000, np.float32)))
    codec = opened("abr:speech-16k")
    assert codec.name == "abr:speech-16k"
    assert codec.rates_kbps([0.1, 2.2, 100]) == [0.5, 2.2, 6]
    assert not codec.has_packets
    coded = codec.run(wave, 16000, 2.2)
    assert coded.data == vqcodec.compress(wave, 16000, kbps=2.2, abr=True)
    assert coded.codes is None
    constant = opened("speech-16k").run(wave, 16000, 3)
    for each in (coded, constant):
        rates = each.kbps_over_time
        assert len(rates) == -(-len(wave) // 1600)
        assert 0.85 * each.payload_bytes < 1000 / 8 / 10 * rates.sum() < 1.02 * each.payload_bytes
    assert coded.kbps_over_time[-18:].max() < 0.3
    assert coded.kbps_over_time.max() > 2.2
    fixed = opened("fixed:speech-16k").run(wave, 16000, 3)
    np.testing.assert_allclose(fixed.kbps_over_time[:-1], 3, rtol=1e-5)


def test_opus_by_library_and_by_program_agree(speech):
    """At equal measured rates: libopus 1.4 against 1.3.1, PESQ within 0.15."""
    curves = []
    for name in ("opus", "opusenc"):
        coded = [opened(name).run(speech, 16000, kbps) for kbps in (8, 10, 12, 16, 24)]
        rates = [8 * len(one.data) / (len(speech) / 16000) / 1000 for one in coded]
        scores = [pesq_wb(speech, align(speech, one.wave_hat, 16000).wave_hat, 16000) for one in coded]
        curves.append((rates, scores))
    common = [kbps for kbps in curves[0][0] if curves[1][0][0] <= kbps <= curves[1][0][-1]]
    assert len(common) >= 3
    ours, theirs = (np.interp(common, *curve) for curve in curves)
    np.testing.assert_allclose(ours, theirs, atol=0.15)


@pytest.mark.parametrize("name", [name for name in CODECS if name != "codec2"])
@pytest.mark.parametrize("length", [1, 100, 8000])
def test_short_and_silent_clips_give_a_wave_or_one_line(name, length):
    codec = opened(name)
    rate = codec.rates_kbps([16])[0]
    for wave in (np.zeros(length, np.float32), np.full(length, 0.1, np.float32)):
        try:
            coded = codec.run(wave, 16000, rate)
        except AudioError as error:
            assert "\n" not in str(error)
        else:
            assert np.isfinite(coded.wave_hat).all()


@pytest.mark.parametrize(
    "wave", [np.zeros(0, np.float32), np.full(99, np.nan, np.float32), np.zeros((2, 9), np.float32)]
)
@pytest.mark.parametrize("name", ["speech-16k", "opus", "pcm", "amr-wb", "opusenc"])
def test_what_is_no_wave_is_refused(name, wave):
    codec = opened(name)
    with pytest.raises(AudioError):
        codec.run(wave, 16000, codec.rates_kbps([6])[0])


def test_a_spec_opens_the_same_codec_in_another_process(speech, speech_path):
    script = (
        "import sys, hashlib, soundfile; from vqcodec.evaluation.codecs.registry import open_codec\n"
        "wave, rate = soundfile.read(sys.argv[1], dtype='float32')\n"
        "print(hashlib.sha256(open_codec('mp3').run(wave, rate, 16).data).hexdigest())"
    )
    command = [sys.executable, "-c", script, str(speech_path)]
    digests = {subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert len(digests) == 1


@pytest.mark.parametrize(("name", "program"), [("opusenc", "opusenc"), ("codec2", "c2enc"), ("speex", "speexenc")])
def test_a_missing_program_is_named_with_its_package(name, program, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match=rf"{program}.*apt install"):
        open_codec(name)


def test_a_missing_library_is_named_with_its_package(monkeypatch):
    def absent(name):
        raise OSError(name)

    monkeypatch.setattr("ctypes.CDLL", absent)
    with pytest.raises(UnavailableError, match=r"libvo-amrwbenc.*apt install"):
        open_codec("amr-wb")


def test_unknown_names_list_those_there_are():
    with pytest.raises(ConfigError, match="'evs' is no codec.*opus"):
        open_codec("evs")
    with pytest.raises(UnavailableError, match="absent"):
        open_codec("hf:absent")


def test_rates_after_the_name():
    assert parse_spec("opus@6/8/12.5") == ("opus", [6, 8, 12.5])
    assert parse_spec("opus") == ("opus", None)
    assert parse_spec("a@b.safetensors@6") == ("a@b.safetensors", [6])
    for text in ("opus@", "opus@x", "opus@6/", "@6", "opus@0", "opus@inf"):
        with pytest.raises(ConfigError, match="rates in kbps"):
            parse_spec(text)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("cp {in} {bits}", "two commands"),
        ("cp {in} {bits}; cp {bits}", "{out}"),
        ("cp {in}; cp {bits} {out}", "{bits}"),
        ("cp {in} {bits} {quality}; cp {bits} {out}", "{quality}"),
        ("cp '{in} {bits}; cp {bits} {out}", "command line"),
        ("; ", "two commands"),
    ],
)
def test_bad_templates_are_one_line(template, message):
    with pytest.raises(ConfigError, match=message) as raised:
        open_codec("x", {"x": template})
    assert "\n" not in str(raised.value)


def program(tmp_path, source, **options):
    """A codec that copies to encode and runs Python `source` to decode."""
    script = tmp_path / "decode.py"
    script.write_text("import sys, soundfile, time\nbits, out = sys.argv[1:]\n" + source)
    template = f"cp {{in}} {{bits}}; {sys.executable} {script} {{bits}} {{out}}"
    return ProgramCodec(Program(name="mine", template=template), **options)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("sys.exit('no such frame')", "no such frame"),
        ("import os; os.kill(os.getpid(), 11)", r"mine, to decode: python.* crashed \(SIGSEGV\)"),
        ("pass", "wrote no {out}"),
        ("open(out, 'w').write('text')", "wrote no {out}"),
        ("soundfile.write(out, [[0.1, 0.2]] * 9, 16000)", "2 channels"),
        ("soundfile.write(out, [float('nan')] * 9, 16000, subtype='FLOAT')", "NaN"),
    ],
)
def test_a_program_that_fails_is_one_line(tmp_path, speech, source, message):
    with pytest.raises(AudioError, match=message) as raised:
        program(tmp_path, source).run(speech, 16000, None)
    assert "\n" not in str(raised.value)


def test_a_program_that_hangs_is_stopped(tmp_path, speech):
    with pytest.raises(AudioError, match="stopped after 0.5 s"):
        program(tmp_path, "time.sleep(600)", limit_seconds=0.5).run(speech, 16000, None)


def test_rates_and_spaces_reach_a_program_as_single_words(tmp_path, speech):
    target = tmp_path / "a folder"
    target.mkdir()
    script = target / "encode it.py"
    script.write_text("import sys, shutil\nassert sys.argv[1] == '12'\nshutil.copy(*sys.argv[2:])")
    externals = {"mine": f"{sys.executable} '{script}' {{kbps}} {{in}} {{bits}}; cp {{bits}} {{out}}"}
    codec = open_codec("mine", externals)
    assert codec.rates_kbps([24, 12]) == [12, 24]
    np.testing.assert_allclose(codec.run(speech, 16000, 12).wave_hat, speech, atol=1 / 32767)


def test_nothing_is_left_behind(tmp_path, speech, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    program(tmp_path, "import shutil; shutil.copy(bits, out)").run(speech, 16000, None)
    with pytest.raises(AudioError):
        program(tmp_path, "sys.exit(1)").run(speech, 16000, None)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_run_folder_has_its_name_and_the_version_of_its_weights(tmp_path):
    copied = tmp_path / "mine" / "model.safetensors"
    copied.parent.mkdir()
    copied.write_bytes(open_weights("speech-16k").data)
    mine, bundled = open_codec(str(copied.parent)), open_codec("speech-16k")
    assert (mine.name, mine.version) == ("mine", bundled.version)
    assert soundfile.__libsndfile_version__ in open_codec("pcm").version


def test_results_of_an_earlier_release_are_not_those_of_the_same_weights_now(monkeypatch):
    before = open_codec("speech-16k").version
    monkeypatch.setattr("vqcodec.evaluation.codecs.library.__version__", "9.9")
    after = open_codec("speech-16k").version
    assert before != after
    assert before.split()[0] == after.split()[0]


EVS = """#!/bin/sh
[ "$1" = -mime ] || exit 3
shift
case $0 in *cod) [ "$1" = 9600 ] || exit 4; shift;; esac
[ "$1" = 16 ] || exit 5
cat "$2" > "$3"
"""
"""Takes the arguments of EVS_cod and EVS_dec, and copies."""


def test_the_templates_of_the_docs_give_programs_what_they_take(tmp_path, speech, monkeypatch):
    page = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    templates = dict(re.findall(r"--external '(lc3plus|evs)=(.*)'$", page, re.MULTILINE))
    assert templates.keys() == {"lc3plus", "evs"}
    for name in ("EVS_cod", "EVS_dec", "LC3plus"):
        (tmp_path / name).write_text(EVS if name != "LC3plus" else '#!/bin/sh\ncp "$3" "$4"\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for name, template in templates.items():
        codec = open_codec(name, {name: template})
        coded = codec.run(speech[:16000], 16000, 9.6)
        np.testing.assert_allclose(coded.wave_hat, speech[:16000], atol=1 / 32768)
        assert len(coded.data) == 2 * 16000 + (44 if name == "lc3plus" else 0)

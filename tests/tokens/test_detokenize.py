"""detokenize: the samples of `vqcodec decode`, of the original rate and length, whatever else is broken."""

import functools
import json
import shutil

import numpy as np
import pytest
import soundfile

import vqcodec
from vqcodec.errors import AudioError, ConfigError, ModelError, OutputError, TokensError
from vqcodec.tokens import detokenize
from vqcodec.tokens.index import shard_path


@pytest.fixture(scope="module")
def clips(tmp_path_factory, make_clips, speech):
    """Clips of three rates, two of them in folders."""
    folder = make_clips(tmp_path_factory.mktemp("clips") / "in", 3)
    make_clips(folder / "low", 2, rate_hz=8000)
    make_clips(folder / "v1.5", 2, rate_hz=44100)
    return folder


@pytest.fixture(scope="module")
def make_tokens(tmp_path_factory, clips, toy_weights):
    """Function: an output of the toy model, in a format."""

    @functools.cache
    def make(kind):
        out = tmp_path_factory.mktemp("tokens") / "out"
        vqcodec.tokens.tokenize(clips, out, model=toy_weights, workers=1, format=kind)
        return out

    return make


@pytest.fixture(scope="module")
def tokens(make_tokens):
    return make_tokens("npy")


@pytest.mark.parametrize("num_codebooks", [None, 1])
@pytest.mark.parametrize("kind", ["parquet", "npy", "shar"])
def test_samples_are_those_of_decode(tmp_path, clips, make_tokens, toy_weights, kind, num_codebooks):
    options = {"model": toy_weights, "num_codebooks": num_codebooks}
    done = detokenize(make_tokens(kind), tmp_path / "audio", **options)
    assert (done.utterances, done.failures) == (7, [])
    coded = make_tokens("vqc")
    written = sorted(path.relative_to(tmp_path / "audio") for path in (tmp_path / "audio").rglob("*.wav"))
    assert written == sorted(path.relative_to(clips).with_suffix(".wav") for path in clips.rglob("*.flac"))
    for name in written:
        vqc = shard_path(coded, 0, "vqc") / f"{str(name.with_suffix('')).replace('.', '%2E')}.vqc"
        vqcodec.decode_file(vqc, tmp_path / "alone.wav", force=True, **options)
        assert (tmp_path / "audio" / name).read_bytes() == (tmp_path / "alone.wav").read_bytes()
        own, original = (
            soundfile.info(tmp_path / "audio" / name),
            soundfile.info(clips / name.with_suffix(".flac")),
        )
        assert (own.frames, own.samplerate, own.channels) == (original.frames, original.samplerate, 1)
    assert done.seconds == pytest.approx(sum(soundfile.info(path).duration for path in clips.rglob("*.flac")))


@pytest.mark.slow
def test_the_bundled_model_is_found_by_its_fingerprint(tmp_path, clips, speech):
    vqcodec.tokens.tokenize(clips, tmp_path / "out", workers=1, format="webdataset", entropy_coded=True)
    assert detokenize(tmp_path / "out", tmp_path / "audio", format="flac").utterances == 7
    first, rate_hz = soundfile.read(clips / "clip000.flac", dtype="float32")
    again, _ = soundfile.read(tmp_path / "audio" / "clip000.flac", dtype="float32")
    data = vqcodec.compress(first, rate_hz)
    np.testing.assert_allclose(again, vqcodec.decompress(data)[0][0], atol=2**-15)


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3", "opus"])
def test_formats_and_what_one_cannot_hold(tmp_path, tokens, toy_weights, suffix):
    done = detokenize(tokens, tmp_path / "audio", model=toy_weights, format=suffix)
    assert done.utterances == 7
    assert len(list((tmp_path / "audio").rglob(f"*.{suffix}"))) == 7


def test_one_bad_utterance_stops_no_other(tmp_path, tokens, toy_weights):
    out = tmp_path / "out"
    shutil.copytree(tokens, out)
    shard = shard_path(out, 0, "npy")
    (shard / "clip001.npy").write_bytes(b"damaged")
    (shard / "low" / "clip000.npy").unlink()
    wrong = np.load(shard / "clip002.npy")
    np.save(shard / "clip002.npy", np.concatenate((wrong, wrong), axis=1))
    told = []
    done = detokenize(out, tmp_path / "audio", model=toy_weights, on_progress=lambda *seconds: told.append(seconds))
    assert [failed for failed, _ in done.failures] == ["clip001", "clip002", "low/clip000"]
    assert "clip001.npy" in done.failures[0][1]
    assert done.utterances == len(list((tmp_path / "audio").rglob("*.*"))) - len(list((tmp_path / "audio").glob("v*")))
    assert told == sorted(told)
    assert told[-1][1] == pytest.approx(vqcodec.tokens.open(out).totals.seconds)


def test_a_length_that_the_codes_do_not_have_is_a_failure(tmp_path, tokens, toy_weights):
    shutil.copytree(tokens, tmp_path / "out")
    manifest = shard_path(tmp_path / "out", 0, "npy") / "manifest.jsonl"
    for wrong in (5, 10**9):
        lines = [json.loads(line) for line in manifest.read_text().splitlines()]
        lines[2]["samples"] = wrong
        manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
        done = detokenize(tmp_path / "out", tmp_path / "audio", model=toy_weights, force=True)
        assert [one for one, _ in done.failures] == [lines[2]["id"]]
        assert "contradicts itself" in done.failures[0][1]


@pytest.mark.parametrize("order", [["a", "a.wav/b", "z"], ["a.wav/b", "a", "z"]])
def test_an_id_that_is_a_file_where_another_needs_a_folder_stops_no_other(tmp_path, clips, toy_weights, order):
    path = next(iter(clips.glob("*.flac")))
    (tmp_path / "m.jsonl").write_text("".join(json.dumps({"path": str(path), "id": one}) + "\n" for one in order))
    vqcodec.tokens.tokenize(tmp_path / "m.jsonl", tmp_path / "out", model=toy_weights, workers=1, format="npy")
    done = detokenize(tmp_path / "out", tmp_path / "audio", model=toy_weights)
    assert done.utterances == 2
    ((failed, why),) = done.failures
    assert failed == "a.wav/b"
    assert "rename one" in why
    assert (tmp_path / "audio" / "z.wav").is_file()


def test_an_id_cannot_lead_out_of_the_folder(tmp_path, make_output, toy_weights):
    make_output(tmp_path / "out", "parquet", count=3)
    index = tmp_path / "out" / "index" / "shard-000000.jsonl"
    index.write_text(index.read_text().replace("s.1/u1", "../../u1"))
    with pytest.raises(AudioError, match="is no name such as"):
        detokenize(tmp_path / "out", tmp_path / "audio")


def test_nothing_is_replaced_without_force(tmp_path, tokens, toy_weights, monkeypatch):
    folder = tmp_path / "audio"
    (folder / "low").mkdir(parents=True)
    (folder / "low" / "clip001.wav").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"low/clip001.wav: exists already; use --force"):
        detokenize(tokens, folder, model=toy_weights)
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / "low" / "clip001.wav"]
    detokenize(tokens, folder, model=toy_weights, force=True)
    assert soundfile.info(folder / "low" / "clip001.wav").samplerate == 8000
    with pytest.raises(OutputError, match="and 6 more: exists already"):
        detokenize(tokens, folder, model=toy_weights)


def test_an_interrupted_run_leaves_whole_files_only(tmp_path, tokens, toy_weights):
    def stop(done_seconds, _):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        detokenize(tokens, tmp_path / "audio", model=toy_weights, on_progress=stop)
    assert [path.name for path in (tmp_path / "audio").iterdir()] == ["clip000.wav"]


def test_what_cannot_be_is_refused_before_any_work(tmp_path, tokens, toy_weights, make_output):
    folder = tmp_path / "audio"
    with pytest.raises(ConfigError, match="format 'aiff' is none of wav"):
        detokenize(tokens, folder, format="aiff")
    with pytest.raises(ConfigError, match="4 codebooks are not in 1..3"):
        detokenize(tokens, folder, model=toy_weights, num_codebooks=4)
    with pytest.raises(ModelError, match="not bundled"):
        detokenize(tokens, tmp_path / "other")
    with pytest.raises(ModelError, match="give the weights that made them"):
        detokenize(tokens, folder, model="speech-16k")
    with pytest.raises(TokensError, match=r"no plan.json"):
        detokenize(tmp_path, folder)
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_ends_the_run(tmp_path, tokens, toy_weights):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="file: cannot write"):
        detokenize(tokens, tmp_path / "file", model=toy_weights)
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "low").write_text("mine")
    with pytest.raises(OutputError, match="low/clip000.wav: cannot write"):
        detokenize(tokens, tmp_path / "audio", model=toy_weights)

"""vqcodec tokens and detokenize: what they print, write and refuse."""

import json
import re
import shutil
import sys

import pytest
import soundfile


@pytest.fixture(scope="module")
def tokens(tmp_path_factory, speech, toy_weights):
    """An output of the toy model in npy: five clips and a file that is no audio, three shards."""
    from vqcodec.tokens.run import tokenize

    folder = tmp_path_factory.mktemp("tokens")
    (folder / "in").mkdir()
    for number in range(5):
        soundfile.write(folder / "in" / f"{number}.wav", speech[: 4000 + 999 * number], 16000)
    (folder / "in" / "bad.wav").write_text("no audio")
    tokenize(folder / "in", folder / "out", model=toy_weights, workers=1, format="npy", shard_size=2)
    return folder / "out"


@pytest.mark.parametrize("name", ["info", "merge", "judge"])
def test_subcommands_have_help_with_an_example(run, name):
    assert run("tokens", name, "--help").output.count(f"vqcodec tokens {name}") >= 2


def test_info_tells_every_fact(run, tokens):
    facts = json.loads(run("tokens", "info", tokens, "--json").output)
    files = [path for path in (tokens / "shards").rglob("*") if path.is_file()]
    assert facts["disk_bytes"] == sum(path.stat().st_size for path in files)
    assert facts["tokens"] == 3 * facts["frames"]
    expected = {"model": "toy", "utterances": 5, "failures": 1, "shards": 3, "all_shards": 3, "num_codebooks": 3}
    assert expected.items() <= facts.items()
    assert [len(facts[name]) for name in ("entropy_bits", "perplexity", "used_share")] == [3, 3, 3]
    text = run("tokens", "info", tokens).output
    assert "unfinished" not in text
    assert len(text.splitlines()) == len(facts) - 3 + 1 + 3
    assert f"{facts['perplexity'][2]:.1f}" in text.splitlines()[-1]


def test_info_of_an_unfinished_folder_says_so(tmp_path, run, tokens):
    shutil.copytree(tokens, tmp_path / "out")
    (tmp_path / "out" / "index" / "shard-000001.jsonl").unlink()
    text = run("tokens", "info", tmp_path / "out").output
    assert text.splitlines()[0] == "unfinished: 2 of 3 shards; what follows is of those"


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_picture_is_one(tmp_path, run, tokens, suffix):
    path = tmp_path / f"usage.{suffix}"
    run("tokens", "info", tokens, "--picture", path)
    assert (b"<svg" if suffix == "svg" else b"\x89PNG") in path.read_bytes()[:500]
    before = path.read_bytes()
    assert "exists already" in run("tokens", "info", tokens, "--picture", path, code=1).output
    assert path.read_bytes() == before
    run("tokens", "info", tokens, "--picture", path, "--force")


def test_merge_completes_what_is_there(tmp_path, run, tokens):
    out = tmp_path / "out"
    shutil.copytree(tokens, out)
    made = {name: (out / name).read_bytes() for name in ("index.json", "failures.jsonl", "manifest.jsonl")}
    for name in made:
        (out / name).unlink()
    assert "go on with vqcodec tokens merge" in run("detokenize", out, tmp_path / "audio", code=1).output
    assert "5 utterances, 0.00 h" in run("tokens", "merge", out).output
    assert {name: (out / name).read_bytes() for name in made} == made
    (out / "index" / "shard-000001.jsonl").unlink()
    assert "1 of 3 shards are unfinished (1)" in run("tokens", "merge", out, code=1).output


def test_detokenize_writes_every_utterance(tmp_path, run, tokens, toy_weights):
    result = run("detokenize", tokens, tmp_path / "audio", "--model", toy_weights, "--format", "flac", "--codebooks", 2)
    assert result.output == f"{tmp_path}/audio: 5 utterances, 0.00 h\n"
    lengths = [soundfile.info(tmp_path / "audio" / f"{number}.flac").frames for number in range(5)]
    assert lengths == [4000 + 999 * number for number in range(5)]


def test_detokenize_tells_each_failure_and_goes_on(tmp_path, run, tokens, toy_weights):
    shutil.copytree(tokens, tmp_path / "out")
    for name in ("1", "4"):
        next((tmp_path / "out" / "shards").rglob(f"{name}.npy")).write_bytes(b"damaged")
    lines = run("detokenize", tmp_path / "out", tmp_path / "audio", "--model", toy_weights, code=1).output.splitlines()
    assert lines[0].endswith("3 utterances, 0.00 h")
    assert lines[1].startswith("Error: 1: ")
    assert lines[2].startswith("Error: 4: ")
    assert lines[3] == "Error: 2 of 5 utterances failed"
    assert sorted(path.name for path in (tmp_path / "audio").iterdir()) == ["0.wav", "2.wav", "3.wav"]


def test_detokenize_tells_of_a_shard_once(tmp_path, run, tokens, toy_weights):
    shutil.copytree(tokens, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "shards" / "shard-000001")
    lines = run("detokenize", tmp_path / "out", tmp_path / "audio", "--model", toy_weights, code=1).output.splitlines()
    assert len(lines) == 3
    assert re.match(r"Error: 2 and 1 more: .*shard-000001: the shard is missing", lines[1])
    assert lines[2] == "Error: 2 of 5 utterances failed"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["tokens", "info", "none"], 1, "none: no plan.json"),
        (["tokens", "merge", "none"], 1, "none: no plan.json"),
        (["tokens", "info", "{tokens}", "--picture", "a.gif"], 2, "a.gif is no .png or .svg"),
        (["tokens", "info", "{tokens}", "--picture", "none/a.png"], 1, "there is no folder"),
        (["tokens", "info", "{tokens}", "--model", "speech-16k"], 1, "give the weights that made them"),
        (["detokenize", "{tokens}", "audio"], 1, "not bundled"),
        (["detokenize", "{tokens}", "audio", "--codebooks", "4"], 1, "not in 1..3"),
        (["detokenize", "{tokens}", "audio", "--format", "aiff"], 2, "aiff"),
        (["detokenize", "{tokens}"], 2, "Missing argument"),
    ],
)
def test_bad_input_is_one_line_and_no_file(tmp_path, monkeypatch, run, tokens, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    lines = run(*(argument.format(tokens=tokens) for argument in arguments), code=code).output.strip().splitlines()
    assert message in lines[-1]
    assert len(lines) == 1 or code == 2
    assert list(tmp_path.iterdir()) == []


def test_judge_tells_every_fact_in_tables_and_as_json(tmp_path, run, speech, toy_weights):
    soundfile.write(tmp_path / "clip.wav", speech[:16000], 16000)
    arguments = ("tokens", "judge", tmp_path / "clip.wav", "--model", toy_weights, "--kbps", "0.4")
    done = run(*arguments, "--json")
    facts = json.loads(done.stdout)
    assert done.stderr == "50 frames are few: entropies are too low below 0.053 minutes of audio\n"
    assert (facts["model"], facts["clips"], facts["frames"], facts["frame_rate"]) == ("toy", 1, 50, 50.0)
    for name in ("entropy_bits", "perplexity", "used_share", "kbps", "mel_distance", "si_sdr"):
        assert len(facts[name]) == 2, name
    assert facts["mutual_information_bits"][0][0] == pytest.approx(facts["entropy_bits"][0], abs=1e-3)
    text = run(*arguments).stdout
    for name, shares in facts["same_share"].items():
        assert name in text and f"{shares[0]:.1%}" in text, name
    assert f"{facts['mel_distance'][1]:.3f}" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("absent",), "absent"),
        (("{clip}", "--kbps", "1", "--codebooks", "1"), "give kbps or num_codebooks, not both"),
        (("{clip}", "--codebooks", "9"), "num_codebooks 9 is not in 1..3"),
        (("{clip}", "--model", "absent.safetensors"), "absent.safetensors"),
    ],
)
def test_what_cannot_be_judged_is_one_line(tmp_path, run, speech, toy_weights, arguments, message):
    soundfile.write(tmp_path / "clip.wav", speech[:16000], 16000)
    given = [argument.format(clip=tmp_path / "clip.wav") for argument in arguments]
    done = run("tokens", "judge", *given, *([] if "--model" in given else ["--model", toy_weights]), code=1)
    assert message in done.stderr
    assert done.stderr.strip().count("\n") == 0


def test_judge_without_scipy_names_the_extra(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    done = run("tokens", "judge", "clip.wav", code=1)
    assert "tokens judge needs scipy" in done.stderr and "'.[eval]'" in done.stderr
    assert done.stderr.count("\n") == 1

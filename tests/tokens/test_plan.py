import json

import pytest

from vqcodec.errors import AudioError, TokensError
from vqcodec.tokens.plan import Settings, default_shard_size, make_plan, open_plan
from vqcodec.tokens.utterances import Utterance, name_of

SETTINGS = Settings("toy", "ab" * 32, 8000, 160, 16, 3, "parquet")


def utterance(name, **columns):
    return Utterance(name, f"/data/{name}.wav", f"{name}.wav", columns=columns)


def test_shards_are_the_utterances_in_order(tmp_path):
    utterances = [utterance(f"u{number}", speaker=number) for number in range(10)]
    made = make_plan(tmp_path, "src", iter(utterances), SETTINGS, shard_size=4)
    plan = open_plan(tmp_path)
    assert plan == made
    assert [plan.size_of(shard) for shard in range(plan.num_shards)] == [4, 4, 2]
    assert [one for shard in range(plan.num_shards) for one in plan.shard(shard)] == utterances


def test_every_field_survives(tmp_path):
    full = Utterance(
        "a/b", "/x.tar", "x.tar/a", 1.5, 0.25, 2, (512, 99), 7, "cat x", {"text": "é", "age": 3, "no": None}
    )
    make_plan(tmp_path, "src", [full], SETTINGS)
    assert open_plan(tmp_path).shard(0) == [full]


def test_the_same_source_gives_the_same_bytes(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        make_plan(tmp_path / name, "src", [utterance("u", age=1)], SETTINGS)
    for file in ("plan.json", "plan.jsonl"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_columns_have_the_narrowest_type_that_holds_all(tmp_path):
    rows = [
        utterance("1", whole=1, real=1, mixed=1, yes=True, late=None, never=None, large=2**63),
        utterance("2", whole=2, real=0.5, mixed="x", yes=False, late=3, yesno=True),
        utterance("3", yesno=1),
    ]
    plan = make_plan(tmp_path, "src", rows, SETTINGS)
    assert plan.columns == {
        "whole": "int64", "real": "float64", "mixed": "string", "yes": "bool", "late": "int64", "never": "string",
        "large": "string", "yesno": "string",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("utterances", "message"),
    [
        ([], "no audio found"),
        ([utterance("a"), utterance("b"), utterance("a")], "src: 'a.wav' is there twice, with the id 'a'; give ids"),
        (
            [Utterance("same/x", "/1", "same/x.flac"), utterance("b"), Utterance("same/x", "/2", "same/x.wav")],
            "src: 'same/x.flac' and 'same/x.wav' have the same id 'same/x'; rename one, or give ids that differ",
        ),
        ([utterance("../a")], r"id '\.\./a' is no name"),
        ([utterance("/a")], "is no name"),
        ([utterance("a\nb")], r"src: 'a\\nb.wav': id 'a\\nb' is no name .*; rename the file, or give another id"),
        ([utterance("x" * 300)], "too long"),
        ([utterance("a", codes=1, codes_given=2)], "columns 'codes', the name of one of ours, and 'codes_given'"),
        ([utterance("a", text="bad \ud800")], r"column 'text' of 'a' has half a character \('bad \\ud800'\)"),
        ([utterance("a", **{"\udfff": 1})], r"column '\\udfff' of 'a' has half a character"),
    ],
)
def test_what_cannot_be_planned_leaves_nothing(tmp_path, utterances, message):
    with pytest.raises(AudioError, match=message):
        make_plan(tmp_path, "src", utterances, SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_a_column_with_a_name_of_ours_is_carried_under_another_which_is_told_once(tmp_path):
    rows = [utterance("a", source="book", text="x"), utterance("b", source="web"), utterance("c")]
    with pytest.warns(UserWarning, match="src: column 'source' .* carried as 'source_given'") as told:
        plan = make_plan(tmp_path, "src", rows, SETTINGS)
    assert len(told) == 1
    assert plan.columns == {"source_given": "string", "text": "string"}
    assert [dict(row.columns) for row in plan.shard(0)] == [
        {"source_given": "book", "text": "x"},
        {"source_given": "web"},
        {},
    ]
    assert [row.source for row in plan.shard(0)] == ["a.wav", "b.wav", "c.wav"]


def test_names_of_ids_are_unique_and_without_dots():
    ids = ["a.b", "a%2Eb", "a/b.c", "a\\b", "..", "é"]
    names = [name_of(one) for one in ids]
    assert len(set(names)) == len(ids)
    assert not any("." in name for name in names)
    assert names[2] == "a/b%2Ec"


@pytest.mark.parametrize(("utterances", "size"), [(1, 64), (200, 64), (20_000, 313), (64_000, 1000), (10**8, 1000)])
def test_small_sources_have_small_shards(utterances, size):
    assert default_shard_size(utterances) == size


def test_damage_is_named(tmp_path):
    with pytest.raises(TokensError, match=r"no plan\.json"):
        open_plan(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(TokensError, match=r"file: no plan\.json, so no output of vqcodec tokenize; give its folder"):
        open_plan(tmp_path / "file")
    make_plan(tmp_path, "src", [utterance("a"), utterance("b")], SETTINGS, shard_size=1)
    plan = open_plan(tmp_path)
    (tmp_path / "plan.jsonl").write_text((tmp_path / "plan.jsonl").read_text()[:-9])
    assert plan.shard(0) == [utterance("a")]
    with pytest.raises(TokensError, match="shard 1 of the plan cannot be read"):
        plan.shard(1)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(TokensError, match="cannot be read"):
        open_plan(tmp_path)
    (tmp_path / "plan.json").write_text(json.dumps({"version": 2}))
    with pytest.raises(TokensError, match="version 2; this release reads 1"):
        open_plan(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"shard_size": "1"},
        {"shard_size": 0},
        {"utterances": 3},
        {"offsets": [0, -1]},
        {"offsets": [0.5, 1]},
        {"offsets": 7},
        {"columns": {"a": "blob"}},
        {"columns": {"a": ["string"]}},
        {"columns": 3},
        {"sha256": 3},
        {"source": None},
        {"settings": {"hop_length": "a"}},
        {"settings": {"codebook_size": 0}},
        {"settings": {"codebook_size": 10**12}},
        {"settings": {"num_codebooks": 10**12}},
        {"settings": {"model": 3}},
        {"settings": {"effort": "utmost"}},
        {"settings": {"effort": ["fast"]}},
        {"settings": {"format": ["npy"]}},
        {"settings": {"fingerprint": "no hex"}},
    ],
    ids=str,
)
def test_values_of_another_kind_are_named(tmp_path, change):
    make_plan(tmp_path, "src", [utterance("a"), utterance("b")], SETTINGS, shard_size=1)
    values = json.loads((tmp_path / "plan.json").read_text())
    settings = {**values["settings"], **change.get("settings", {})}
    (tmp_path / "plan.json").write_text(json.dumps({**values, **change, "settings": settings}))
    with pytest.raises(TokensError, match=r"plan\.json: cannot be read") as error:
        open_plan(tmp_path)
    assert "\n" not in str(error.value)


def test_a_plan_that_was_changed_is_refused(tmp_path):
    make_plan(tmp_path, "src", [utterance("a"), utterance("b")], SETTINGS, shard_size=1).check()
    path = tmp_path / "plan.jsonl"
    for text in (path.read_text().replace("a.wav", "c.wav"), path.read_text() + "\n", ""):
        path.write_text(text)
        with pytest.raises(TokensError, match=r"plan\.jsonl: was changed: its SHA-256 is .* restore the file"):
            open_plan(tmp_path).check()
    path.unlink()
    with pytest.raises(TokensError, match=r"plan\.jsonl: cannot be read .No such file"):
        open_plan(tmp_path).check()

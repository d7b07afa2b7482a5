import gzip
import io
import json
import os
import shutil
import tarfile

import numpy as np
import pytest
import soundfile

from vqcodec.errors import AudioError
from vqcodec.tokens.sources.find import find_utterances


def clip(path, seconds=0.1, rate_hz=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(round(seconds * rate_hz)), rate_hz)
    return path


def found(source, **options):
    return list(find_utterances(str(source), **options))


def test_a_folder_gives_paths_without_suffix_in_order(tmp_path):
    for name in ("b/2.wav", "b/10.flac", "a.wav", "c.d/e.f.wav"):
        clip(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no audio")
    assert [one.id for one in found(tmp_path)] == ["a", "b/10", "b/2", "c.d/e.f"]
    assert [one.source for one in found(tmp_path)][1] == "b/10.flac"
    assert all(os.path.isabs(one.path) for one in found(tmp_path))


def test_links_are_followed_and_no_folder_comes_twice(tmp_path):
    for name in ("in/a.wav", "in/own/b.wav", "far/c.wav", "far/deep/d.wav"):
        clip(tmp_path / name)
    for link, target in [
        ("in/0own", "in/own"), ("in/link.wav", "in/a.wav"), ("in/loop", "in"), ("in/self.wav", "in/self.wav"),
        ("in/x", "far/deep"), ("in/y", "far"), ("in/z", "far"), ("far/back", "in/own"), ("in/gone", "no"),
    ]:  # fmt: skip
        (tmp_path / link).symlink_to(tmp_path / target)
    assert [one.id for one in found(tmp_path / "in")] == ["a", "link", "own/b", "self", "x/d", "y/c"]


def test_what_is_hidden_is_left_out(tmp_path):
    for name in ("a.wav", ".b.wav", "._a.wav", ".trash/c.wav", "sub/.d/e.wav"):
        clip(tmp_path / name)
    assert [one.id for one in found(tmp_path)] == ["a"]


def test_a_name_that_is_not_utf8_survives(tmp_path):
    name = os.fsencode(tmp_path) + b"/\xff\xe9.wav"
    shutil.copy(clip(tmp_path / "good.wav"), name)
    (tmp_path / "good.wav").unlink()
    (one,) = found(tmp_path)
    assert one.id == "\\xff\\xe9"
    assert os.fsencode(type(one).from_json(one.to_json()).path) == name


def test_a_glob_gives_ids_from_its_first_wildcard_on(tmp_path):
    for name in ("x/1.wav", "y/1.wav", "y/1.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [one.id for one in found(tmp_path / "*" / "*")] == ["x/1", "y/1"]
    assert [one.id for one in found(tmp_path / "**" / "1.*")] == ["x/1", "y/1"]


def test_a_csv_carries_columns_and_excerpts(tmp_path):
    (tmp_path / "m.csv").write_text(
        "path,id,start,duration,channel,speaker\na.wav,one,0.5,1.25,1,Ada\nsub/b.wav,,,,,\n"
    )
    first, second = found(tmp_path / "m.csv")
    assert (first.id, first.start_seconds, first.duration_seconds, first.channel) == ("one", 0.5, 1.25, 1)
    assert first.columns == {"speaker": "Ada"}
    assert second.columns == {"speaker": None}
    assert first.path == str(tmp_path / "a.wav")
    assert (second.id, second.start_seconds, second.duration_seconds, second.channel) == ("sub/b", None, None, None)


def test_json_lines_keep_types(tmp_path):
    rows = [{"audio_filepath": "/data/a.wav", "offset": 2, "age": 7, "tags": ["x"], "ok": True}, {"path": "b.wav"}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    first, second = found(tmp_path / "m.jsonl")
    assert first.columns == {"age": 7, "tags": '["x"]', "ok": True}
    assert (first.id, first.start_seconds, first.source) == ("a", 2.0, "/data/a.wav")
    assert second.id == "b"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.csv", "name\nx\n", "line 2 has no column path, file, audio_filepath or file_name; add one"),
        ("m.csv", "path,start\na.wav,soon\n", "line 2: start 'soon' is no length of time"),
        ("m.csv", "path,duration\na.wav,-1\n", "duration '-1'"),
        ("m.csv", "path,channel\na.wav,left\n", "channel 'left' is no number"),
        ("m.csv", "path,text\na.wav,yes, no\n", "line 2 has more fields"),
        ("m.jsonl", '{"path": "a.wav"}\n[1]\n', "line 2 is no JSON object"),
        ("m.jsonl", "\x00\xff", "no JSON object"),
        ("m.csv", "path,duration\na.wav,0\n", "line 2: duration '0' leaves nothing"),
        ("m.jsonl", '{"path": "a.wav", "start": true}', "line 1: start True is no length of time"),
        ("m.jsonl", '{"path": "a.wav", "channel": 0.5}', "line 1: channel 0.5 is no number"),
        ("m.jsonl", '{"path": 5}', "line 1: 5 is no path that a file can have"),
        ("m.csv", "path\n.\n", r"line 2: '\.' is no path that a file can have"),
        ("m.jsonl", '{"path": "/"}', "line 1: '/' is no path that a file can have"),
        ("m.jsonl", r'{"path": "a\u0000.wav"}', r"line 1: 'a\\x00.wav' is no path"),
        ("m.jsonl", r'{"path": "a\ud800.wav"}', r"line 1: 'a\\ud800.wav' is no path"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(AudioError, match=message):
        found(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("x.tsv", "convert it to CSV"), ("x.JSON", "convert it"), ("x.tar.gz", "unpack it"), ("m.jsonl.gz", "unpack it")],
)
def test_lists_and_archives_of_other_kinds_are_no_audio(tmp_path, name, remedy):
    (tmp_path / name).write_text("path\na.wav\n")
    with pytest.raises(AudioError, match=rf"{name}: is neither audio nor a manifest that is read; {remedy}"):
        found(tmp_path / name)


def test_an_end_is_that_of_the_excerpt_and_is_not_carried(tmp_path):
    (tmp_path / "m.csv").write_text("path,start,end,speaker\na.wav,0.5,1.25,Ada\n")
    (one,) = found(tmp_path / "m.csv")
    assert (one.start_seconds, one.duration_seconds, one.columns) == (0.5, 0.75, {"speaker": "Ada"})
    (tmp_path / "m.csv").write_text("path,start,duration,end\na.wav,0.5,0.5,1.25\n")
    with pytest.raises(AudioError, match=r"m\.csv: line 2: duration '0.5' from 0.5 on and end '1.25' contradict"):
        found(tmp_path / "m.csv")


def test_whole_floats_are_channels_and_null_is_nothing(tmp_path):
    (tmp_path / "m.csv").write_text("path,channel\na.wav,1.0\nb.wav,\n")
    assert [one.channel for one in found(tmp_path / "m.csv")] == [1, None]
    (tmp_path / "m.jsonl").write_text('{"path": "a.wav", "id": null, "start": null, "duration": null, "channel": null}')
    (one,) = found(tmp_path / "m.jsonl")
    assert (one.id, one.start_seconds, one.duration_seconds, one.channel, one.columns) == ("a", None, None, None, {})


def test_a_source_that_is_not_there_is_named(tmp_path):
    with pytest.raises(AudioError, match="no such file or folder"):
        found(tmp_path / "nothing")


# Kaldi


def kaldi_folder(folder):
    folder.mkdir()
    (folder / "wav.scp").write_text("rec1 /data/one.wav\nrec2\t/data/two.wav\n")
    return folder


def test_kaldi_without_segments_gives_recordings(tmp_path):
    folder = kaldi_folder(tmp_path / "k")
    (folder / "utt2spk").write_text("rec1 ada\n")
    assert [(one.id, one.path) for one in found(folder)] == [("rec1", "/data/one.wav"), ("rec2", "/data/two.wav")]
    assert [one.columns for one in found(folder / "wav.scp")] == [{"speaker": "ada"}, {"speaker": None}]


def test_kaldi_segments_give_excerpts_with_text(tmp_path):
    folder = kaldi_folder(tmp_path / "k")
    (folder / "segments").write_text("u1 rec1 0.5 2.0\nu2 rec2 1 -1\n")
    (folder / "text").write_text("u1 hello there\nu2\n")
    first, second = found(folder)
    assert (first.id, first.start_seconds, first.duration_seconds) == ("u1", 0.5, 1.5)
    assert (second.path, second.duration_seconds) == ("/data/two.wav", None)
    assert [one.columns["text"] for one in (first, second)] == ["hello there", ""]


def test_kaldi_commands_need_leave(tmp_path):
    folder = kaldi_folder(tmp_path / "k")
    (folder / "wav.scp").write_text("rec1 flac -c -d -s one.flac |\n")
    with pytest.raises(AudioError, match="rec1 is a command .* --run-commands"):
        found(folder)
    assert found(folder, run_commands=True)[0].command == "flac -c -d -s one.flac"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("wav.scp", "r1 a.wav\n\nr1\tb.wav\n", "wav.scp: line 3 is a second one of r1; keep one"),
        ("text", "rec1 one\nrec1 two\n", "text: line 2 is a second one of rec1"),
        ("wav.scp", "r1 /data/x.ark:123\n", r"r1 is in an ark \(/data/x.ark:123\); arks are not read"),
        ("wav.scp", "r1\n", "line 1 has no second field"),
    ],
)
def test_kaldi_tables_that_make_no_sense_are_named(tmp_path, name, text, message):
    folder = kaldi_folder(tmp_path / "k")
    (folder / name).write_text(text)
    with pytest.raises(AudioError, match=message):
        found(folder)


def test_kaldi_tables_in_another_encoding_are_named(tmp_path):
    folder = kaldi_folder(tmp_path / "k")
    (folder / "text").write_bytes("rec1 é\n".encode("latin-1"))
    with pytest.raises(AudioError, match="text: is not UTF-8; save it as UTF-8"):
        found(folder)


@pytest.mark.parametrize(
    ("segments", "message"),
    [("u1 rec9 0 1\n", "part of rec9"), ("u1 rec1 2 1\n", "u1: .* start and end"), ("u1 rec1\n", "u1: ")],
)
def test_kaldi_segments_that_make_no_sense_are_named(tmp_path, segments, message):
    folder = kaldi_folder(tmp_path / "k")
    (folder / "segments").write_text(segments)
    with pytest.raises(AudioError, match=message):
        found(folder)


# Tar shards


def add(archive, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


@pytest.fixture
def shards(tmp_path, speech_path):
    for number in range(2):
        with tarfile.open(tmp_path / f"s-{number:03}.tar", "w") as archive:
            add(archive, "./000.flac", speech_path.read_bytes())
            add(archive, "./000.json", b'{"speaker": "ada", "scores": [1, 2]}')
            add(archive, "./000.txt", b"hello\n")
            add(archive, "./001.wav", b"RIFF")
            add(archive, "./002.txt", b"no audio")
    return tmp_path


def test_one_tar_gives_keys_and_places(shards, speech_path):
    first, second, _ = found(shards / "s-000.tar")
    assert (first.id, second.id) == ("000", "001")
    assert first.columns == {"speaker": "ada", "scores": "[1, 2]", "text": "hello"}
    offset, size = first.member
    assert (shards / "s-000.tar").read_bytes()[offset : offset + size] == speech_path.read_bytes()


@pytest.mark.parametrize("pattern", ["s-{000..001}.tar", "s-*.tar", "s-00{0,1}.tar"])
def test_several_tars_give_ids_with_their_names(shards, pattern):
    ids = [one.id for one in found(shards / pattern)]
    assert ids == [f"s-00{shard}/00{number}" for shard in (0, 1) for number in (0, 1, 2)]


def test_a_sample_without_audio_is_not_passed_over(shards):
    """It comes with its text, which fails as audio when its turn comes."""
    *_, last = found(shards / "s-000.tar")
    assert (last.id, last.source) == ("002", "s-000.tar/./002.txt")
    assert last.columns == {"text": "no audio"}


def tar_of(path, *members):
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            add(archive, name, data)
    return path


def test_members_of_a_sample_may_lie_apart(tmp_path):
    path = tar_of(tmp_path / "x.tar", ("a.wav", b"RIFF"), ("b.wav", b"RIFF"), ("b.txt", b"two"), ("a.txt", b"one"))
    assert [(one.id, one.columns) for one in found(path)] == [("a", {"text": "one"}), ("b", {"text": "two"})]


def test_texts_of_names_with_dots_are_carried(tmp_path):
    path = tar_of(
        tmp_path / "x.tar",
        *(("a.v1.wav", b"RIFF"), ("a.v1.txt", b"one"), ("a.json", b'{"speaker": "ada"}')),
        *(("b.wav", b"RIFF"), ("b.normalized.txt", b"two"), ("b.txt", b"2"), ("b.raw.json", b'{"snr": 3}')),
    )
    first, second = found(path)
    assert (first.id, first.columns) == ("a", {"text": "one", "speaker": "ada"})
    assert second.columns == {"text": "2", "normalized.text": "two", "raw.snr": 3}


@pytest.mark.parametrize("text", ["one", "two"])
@pytest.mark.parametrize("order", [1, -1])
def test_a_text_and_a_field_of_one_name_are_both_carried(tmp_path, text, order):
    members = [("a.wav", b"RIFF"), ("a.json", b'{"text": "two"}'), ("a.txt", text.encode())]
    (one,) = found(tar_of(tmp_path / "x.tar", *members[::order]))
    assert one.columns == {"text": text} | ({"json.text": "two"} if text == "one" else {})


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"x" * ((1 << 20) + 1), "has 1048577 bytes, over 1048576"), ("é".encode("latin-1"), "is not UTF-8; save it")],
)
def test_a_text_that_cannot_be_carried_whole_is_named(tmp_path, data, message):
    with pytest.raises(AudioError, match=rf"x\.tar: a\.txt {message}"):
        found(tar_of(tmp_path / "x.tar", ("a.wav", b"RIFF"), ("a.txt", data)))


def test_audio_of_a_kind_that_is_not_read_is_not_passed_over(tmp_path):
    assert [one.source for one in found(tar_of(tmp_path / "x.tar", ("a.m4a", b"...")))] == ["x.tar/a.m4a"]


def test_a_member_that_is_there_twice_is_named(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        add(archive, "s1.flac", b"one")
        add(archive, "s1.flac", b"two")
    with pytest.raises(AudioError, match=r"x\.tar: s1\.flac is there twice; keep one"):
        found(tmp_path / "x.tar")


def test_what_is_no_tar_is_named(tmp_path):
    (tmp_path / "x.tar").write_bytes(gzip.compress(b"x" * 1000))
    with pytest.raises(AudioError, match=r"x\.tar: no tar archive"):
        found(tmp_path / "x.tar")
    with pytest.raises(AudioError, match=r"y-003\.tar: there is no such archive; correct"):
        found(tmp_path / "y-{003..004}.tar")


def test_an_archive_that_goes_on_or_stops_where_members_would_be_left_out_is_named(tmp_path):
    first = tar_of(tmp_path / "a.tar", ("a.wav", b"RIFF"), ("b.wav", b"RIFF")).read_bytes()
    second = tar_of(tmp_path / "b.tar", ("c.wav", b"RIFF")).read_bytes()
    damaged = bytearray(first)
    damaged[1024 + 100] ^= 1  # the head of the second member, at which readers of tar stop as well
    for data, message in ((first + second, "goes on"), (bytes(damaged), "goes on"), (first[:1024], "has no end")):
        (tmp_path / "x.tar").write_bytes(data)
        with pytest.raises(AudioError, match=rf"x\.tar: {message}"):
            found(tmp_path / "x.tar")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_member_without_data_is_not_passed_over(tmp_path, kind):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        folder, link = tarfile.TarInfo("d"), tarfile.TarInfo("d/b.wav")
        folder.type, link.type, link.linkname = tarfile.DIRTYPE, kind, "d/a.wav"
        archive.addfile(folder)
        add(archive, "d/a.wav", b"RIFF")
        archive.addfile(link)
    with pytest.raises(AudioError, match=r"x\.tar: d/b\.wav is a link or no file, and holds no data; store the file"):
        found(tmp_path / "x.tar")


@pytest.mark.parametrize("braces", ["{0..99999999999}", "{0..999}{0..999}{0..9}", "{1..2}{000..999}{0..999}"])
def test_braces_that_name_too_many_archives_are_one_line(tmp_path, monkeypatch, braces):
    monkeypatch.setattr("vqcodec.tokens.sources.tar._MOST_ARCHIVES", 1000)
    with pytest.raises(AudioError, match="names more than 1000 archives"):
        found(tmp_path / f"s-{braces}.tar")


# Hugging Face


def test_an_audio_folder_has_its_metadata(tmp_path):
    clip(tmp_path / "train" / "a.wav")
    (tmp_path / "train" / "metadata.csv").write_text("file_name,transcription\na.wav,hello\n")
    (one,) = found(tmp_path)
    assert (one.id, one.columns) == ("train/a", {"transcription": "hello"})


def test_audio_that_no_metadata_lists_is_named(tmp_path):
    for name in ("a", "b"):
        clip(tmp_path / f"{name}.wav")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.wav", "text": ""}')
    with pytest.raises(AudioError, match=r"1 audio files, such as .*b\.wav, are not in metadata\.jsonl; add them"):
        found(tmp_path)
    (one,) = found(tmp_path / "metadata.jsonl")
    assert (one.id, one.columns) == ("a", {"text": ""})


def test_a_metadata_file_of_another_kind_is_no_audio_folder(tmp_path):
    clip(tmp_path / "wavs" / "LJ001.wav")
    (tmp_path / "metadata.csv").write_text('LJ001|He said "no"|He said "no"\n')
    assert [(one.id, one.columns) for one in found(tmp_path)] == [("wavs/LJ001", {})]


@pytest.fixture
def saved(tmp_path, speech_path):
    import datasets

    rows = {"audio": [str(speech_path)] * 2, "speaker": ["ada", None], "vector": [[1, 2], [3]]}
    dataset = datasets.Dataset.from_dict(rows).cast_column("audio", datasets.Audio(decode=False))
    dataset.save_to_disk(tmp_path / "saved")
    datasets.DatasetDict({"train": dataset}).save_to_disk(tmp_path / "splits")
    return tmp_path


def test_a_saved_dataset_gives_rows(saved):
    first, second = found(saved / "saved")
    assert (first.id, first.row, first.columns) == ("00000000", 0, {"speaker": "ada"})
    assert second.columns == {"speaker": None}
    assert [one.id for one in found(saved / "splits" / "train")] == ["00000000", "00000001"]


def test_splits_are_named(saved):
    with pytest.raises(AudioError, match="holds the splits train; give one"):
        found(saved / "splits")


# lhotse


@pytest.fixture
def cuts(tmp_path, speech_path):
    import lhotse

    recording = lhotse.Recording.from_file(speech_path)
    cut = recording.to_cut()
    cut.supervisions = [lhotse.SupervisionSegment("s", recording.id, 0, cut.duration, text="hello", speaker="ada")]
    part = recording.to_cut().truncate(offset=0.5, duration=0.25).with_id("part")
    lhotse.CutSet.from_cuts([cut, part]).to_file(tmp_path / "cuts.jsonl.gz")
    lhotse.CutSet.from_cuts([cut.append(part)]).to_file(tmp_path / "mixed.jsonl")
    return tmp_path


def test_cuts_of_lhotse_are_excerpts(cuts, speech_path):
    whole, part = found(cuts / "cuts.jsonl.gz")
    assert (whole.path, whole.start_seconds, whole.duration_seconds) == (str(speech_path), 0.0, None)
    assert whole.columns == {"text": "hello", "speaker": "ada"}
    assert (part.id, part.start_seconds, part.duration_seconds) == ("part", 0.5, 0.25)


def test_a_manifest_with_a_column_recording_is_no_manifest_of_cuts(tmp_path):
    (tmp_path / "m.jsonl").write_text(json.dumps({"path": "a.wav", "recording": "studio", "type": "Cutting"}))
    assert found(tmp_path / "m.jsonl")[0].columns == {"recording": "studio", "type": "Cutting"}


def test_mixed_cuts_are_refused(cuts):
    with pytest.raises(AudioError, match="is a MixedCut"):
        found(cuts / "mixed.jsonl")


def _head(name, **fields):
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    return member


@pytest.mark.parametrize(
    "head",
    [
        _head("a.txt", size=5, pax_headers={"size": "99999999999999999999"}).tobuf(tarfile.PAX_FORMAT),
        _head("a.txt", size=5, pax_headers={"size": "-1536"}).tobuf(tarfile.PAX_FORMAT),
        _head("a", type=tarfile.GNUTYPE_LONGNAME, size=(1 << 36) - 1).tobuf(tarfile.GNU_FORMAT),
        _head("a", type=tarfile.XHDTYPE, size=(1 << 36) - 1).tobuf(tarfile.GNU_FORMAT),
        _head("a.wav", size=1 << 40).tobuf(tarfile.GNU_FORMAT) + _head("b.wav", size=4).tobuf(tarfile.GNU_FORMAT),
    ],
    ids=["size of 20 digits", "size below 0", "name of 64 GiB", "fields of 64 GiB", "1 TiB"],
)
def test_heads_of_tar_that_claim_too_much_are_one_line(tmp_path, head):
    (tmp_path / "a.tar").write_bytes(head + bytes(2048))
    with pytest.raises(AudioError, match=r"a\.tar: no tar archive that can be read") as error:
        list(find_utterances(str(tmp_path / "a.tar")))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("channel", ["9" * 5000, "9" * 5000 + ".0", -1, 10**4000])
def test_a_channel_of_many_digits_is_one_line(tmp_path, channel):
    (tmp_path / "m.jsonl").write_text(json.dumps({"path": "a.wav", "channel": channel}) + "\n")
    with pytest.raises(AudioError, match="line 1: channel .* is no number of a channel") as error:
        list(find_utterances(str(tmp_path / "m.jsonl")))
    assert len(str(error.value)) < 500

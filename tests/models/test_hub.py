import sys
import types

import pytest

from vqcodec.errors import ModelError, UnavailableError
from vqcodec.models.hub import resolve


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def make_snapshot(cache, revision="abc"):
    repository = cache / "models--ada--toy"
    (repository / "snapshots" / revision).mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    for name in ("config.json", "toy.safetensors"):
        (repository / "snapshots" / revision / name).touch()
    return repository / "snapshots" / revision


@pytest.mark.parametrize(
    ("variables", "cache"),
    [
        ({"HF_HUB_CACHE": "a", "HF_HOME": "b"}, "a"),
        ({"HUGGINGFACE_HUB_CACHE": "a"}, "a"),
        ({"HF_HOME": "b", "XDG_CACHE_HOME": "c"}, "b/hub"),
        ({"XDG_CACHE_HOME": "c"}, "c/huggingface/hub"),
        ({}, "home/.cache/huggingface/hub"),
    ],
)
def test_the_cache_is_where_huggingface_hub_has_it(variables, cache, tmp_path, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    snapshot = make_snapshot(tmp_path / cache)
    assert resolve("hf:ada/toy") == snapshot


def test_huggingface_hub_finds_the_same_snapshot(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    make_snapshot(tmp_path)
    theirs = hub.snapshot_download("ada/toy", cache_dir=tmp_path, allow_patterns=["*.json"], local_files_only=True)
    assert str(resolve("hf:ada/toy")) == theirs


def test_a_folder_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ada" / "toy").mkdir(parents=True)
    make_snapshot(tmp_path / "home" / ".cache" / "huggingface" / "hub")
    assert resolve("hf:ada/toy").samefile(tmp_path / "ada" / "toy")
    assert resolve(f"hf:{tmp_path}") == tmp_path


@pytest.mark.parametrize("revision", ["../../..", "", "a/b", "gone"])
def test_a_reference_that_leads_nowhere_is_no_snapshot(revision, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    make_snapshot(tmp_path).parents[1].joinpath("refs", "main").write_text(revision)
    with pytest.raises(ModelError, match="hf:ada/toy: not in .* HF_HUB_OFFLINE is set"):
        resolve("hf:ada/toy")


@pytest.mark.parametrize("missing", ["config.json", "toy.safetensors"])
def test_a_snapshot_that_was_cut_off_is_none(missing, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (make_snapshot(tmp_path) / missing).unlink()
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
        resolve("hf:ada/toy")


def test_what_is_not_cached_is_fetched_into_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    calls = []

    def snapshot_download(name, *, cache_dir, allow_patterns):
        calls.append(name)
        if name != "ada/toy":
            raise RuntimeError("404: no such repository\nand much more")
        return str(make_snapshot(cache_dir))

    module = types.ModuleType("huggingface_hub")
    module.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    first = resolve("hf:ada/toy")
    assert resolve("hf:ada/toy") == first
    assert calls == ["ada/toy"]
    with pytest.raises(ModelError, match=r"^hf:ada/other: cannot fetch it \(404: no such repository\)$"):
        resolve("hf:ada/other")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UnavailableError, match=r"pip install -c lock.txt '\.\[hub\]'"):
        resolve("hf:ada/other")


@pytest.mark.parametrize("name", ["hf:", "hf:toy", "hf:a/b/c", "hf:../x", "hf:a/..", "hf:a\n/b", f"hf:{'a' * 5000}/b"])
def test_what_is_no_name_is_refused_in_one_line(name):
    with pytest.raises(ModelError, match="give hf:FOLDER or hf:USER/NAME") as caught:
        resolve(name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400

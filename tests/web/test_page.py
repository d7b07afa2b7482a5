"""The page: what the command writes, and that it plays and encodes in a browser."""

import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

import vqcodec
from vqcodec.bitstream import VqcReader
from vqcodec.errors import BitstreamError, ConfigError, OutputError
from vqcodec.web.folder import RUNTIME_FILES, RUNTIME_VERSION, write_page
from vqcodec.web.server import server_of

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
RUNTIME = ROOT / "web" / "node_modules" / "onnxruntime-web" / "dist"
GOLDEN = ROOT / "tests" / "golden"


@pytest.fixture
def runtime(tmp_path):
    """A folder with files of the names that the runtime's have."""
    folder = tmp_path / "dist"
    folder.mkdir()
    for name in RUNTIME_FILES:
        (folder / name).write_bytes(b"x")
    return folder


def test_the_folder_has_the_page_the_model_the_runtime_and_the_files(tmp_path, runtime):
    target = tmp_path / "site"
    size = write_page(target, [GOLDEN / "v1-tagged.vqc"], runtime=runtime)
    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert size == sum((target / name).stat().st_size for name in found)
    model = json.loads((target / "model" / "model.json").read_text())
    assert {f"model/{model[part]}" for part in ("weights", "encoder", "decoder")} < found
    assert {
        "index.html",
        "module/vqcodec.js",
        "files/v1-tagged.vqc",
        *(f"runtime/{each}" for each in RUNTIME_FILES),
    } < found
    assert '["v1-tagged.vqc"]' in (target / "index.html").read_text()
    with pytest.raises(OutputError, match="has files already"):
        write_page(target, [], runtime=runtime)


def test_what_is_missing_is_told_before_anything_is_written(tmp_path, runtime, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "site"
    with pytest.raises(ConfigError, match=f"onnxruntime-web@{RUNTIME_VERSION}"):
        write_page(target, [])
    with pytest.raises(ConfigError, match="two files have this name"):
        write_page(target, [GOLDEN / "v1-empty.vqc"] * 2, runtime=runtime)
    with pytest.raises(BitstreamError):
        write_page(target, [Path(__file__)], runtime=runtime)
    assert not target.exists()


def test_the_tested_runtime_is_the_one_that_is_told():
    lock = json.loads((ROOT / "web" / "package-lock.json").read_text())
    assert lock["packages"]["node_modules/onnxruntime-web"]["version"] == RUNTIME_VERSION


@pytest.mark.slow
def test_a_browser_plays_seeks_drops_layers_and_encodes(tmp_path, speech):
    for path in (CHROMIUM, RUNTIME):
        if not path.exists():
            pytest.skip(f"{path} is not there")
    from playwright.sync_api import sync_playwright

    coded, wav = tmp_path / "speech.vqc", tmp_path / "speech.wav"
    coded.write_bytes(vqcodec.compress(np.tile(speech[:48000], 3), 16000, engine="onnx"))
    soundfile.write(wav, speech[:32000], 16000)
    write_page(tmp_path / "site", [coded], runtime=RUNTIME)
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
    with server_of(tmp_path / "site", 0) as (server, address), sync_playwright() as playwright:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            _use(browser, address, coded, wav, tmp_path)
        finally:
            browser.close()
            server.shutdown()
            thread.join()


def until(page, condition):
    """Wait in turns of evaluate, which the page's policy allows; that of Playwright compiles strings there."""
    for _ in range(1200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"not so within a minute: {condition}; {page.locator('body').inner_text()}")


def _use(browser, address, coded, wav, folder):
    page = browser.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    player = page.locator("vqc-player").first
    player.get_by_role("button", name="Play").click()
    position = "() => document.querySelector('vqc-player').player.position"
    until(page, f"({position})() > 0.2")
    player.get_by_role("slider", name="Position").fill("5")
    until(page, f"({position})() > 5.2")
    before = page.evaluate(position)
    player.get_by_role("slider", name="Rate").fill("3")
    assert "1.5 kbps" in player.locator("[part=kbps]").inner_text()
    assert page.evaluate(position) >= before
    until(page, f"({position})() > {before} + 1")
    player.get_by_role("button", name="Pause").click()
    with page.expect_download() as waited:
        page.get_by_role("button", name="Download").click()
    waited.value.save_as(folder / "thinned.vqc")
    with coded.open("rb") as file, (folder / "thinned.vqc").open("rb") as thinned:
        entropy = vqcodec.models.zoo.open_weights("speech-16k").entropy
        whole = np.concatenate(
            [each.codes for each in VqcReader(file).chunks(num_codebooks=3, entropy=entropy)], axis=2
        )
        less = np.concatenate([each.codes for each in VqcReader(thinned).chunks(entropy=entropy)], axis=2)
        assert np.array_equal(whole, less)
    page.locator("#input").set_input_files([wav])
    until(page, "document.querySelectorAll('vqc-player').length === 2")
    data = bytes(page.evaluate("[...document.querySelector('vqc-player').file]"))
    assert VqcReader(io.BytesIO(data)).scan().samples == 32000
    wave, _ = vqcodec.decompress(data, engine="onnx")
    assert wave.shape == (1, 32000)
    assert np.corrcoef(wave[0], soundfile.read(wav)[0])[0, 1] > 0.8
    page.locator("#input").set_input_files([Path(__file__)])
    until(page, "document.getElementById('status').textContent.includes('neither a .vqc nor sound')")
    assert all(url.startswith((address, "blob:", "data:")) for url in asked)
    assert said == []

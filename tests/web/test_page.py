"""The page: what the command writes, and that it plays and encodes in a browser."""

import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

import vqcodec
from vqcodec.bitstream import Header, VqcReader
from vqcodec.bitstream.payload import join_layers
from vqcodec.bitstream.records import checksum, chunk_head
from vqcodec.errors import BitstreamError, ConfigError, OutputError
from vqcodec.models import zoo
from vqcodec.web.folder import RUNTIME_FILES, RUNTIME_VERSION, write_page
from vqcodec.web.server import server_of

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
RUNTIME = ROOT / "web" / "node_modules" / "onnxruntime-web" / "dist"
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
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


@pytest.fixture(scope="module")
def page(tmp_path_factory, speech):
    """The page in Chromium, with speech.vqc on it; `asked`, `said`: its requests and errors; `folder`: of files."""
    for path in (CHROMIUM, RUNTIME):
        if not path.exists():
            pytest.skip(f"{path} is not there")
    from playwright.sync_api import sync_playwright

    folder = tmp_path_factory.mktemp("page")
    (folder / "speech.vqc").write_bytes(vqcodec.compress(np.tile(speech[:48000], 3), 16000, engine="onnx"))
    soundfile.write(folder / "speech.wav", speech[:32000], 16000)
    write_page(folder / "site", [folder / "speech.vqc"], runtime=RUNTIME)
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
    arguments += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with server_of(folder / "site", 0) as (server, address), sync_playwright() as playwright:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            page = browser.new_page(viewport={"width": 360, "height": 800})
            page.folder, page.address, page.said, page.asked = folder, address, [], []
            page.on("console", lambda message: page.said.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: page.said.append(str(error)))
            page.on("request", lambda request: page.asked.append(request.url))
            page.goto(address)
            page.wait_for_selector("html[data-ready]")
            yield page
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


def codes_of(data, **options):
    entropy = zoo.open_weights("speech-16k").entropy
    return np.concatenate([each.codes for each in VqcReader(io.BytesIO(data)).chunks(entropy=entropy, **options)], 2)


def bytes_of(page, nth):
    """The file of a player, once it is there."""
    until(page, f"document.querySelectorAll('vqc-player')[{nth}]?.file.length > 0")
    return bytes(page.evaluate(f"[...document.querySelectorAll('vqc-player')[{nth}].file]"))


def downloaded(page, item):
    with page.expect_download() as waited:
        item.get_by_role("button", name="Download").click()
    waited.value.save_as(page.folder / "downloaded.vqc")
    return (page.folder / "downloaded.vqc").read_bytes()


@pytest.mark.slow
def test_a_browser_plays_seeks_drops_layers_and_downloads(page):
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
    player.get_by_role("slider", name="Position").press("ArrowLeft")
    assert page.evaluate(position) < before
    player.get_by_role("slider", name="Position").press(" ")
    assert not page.evaluate("document.querySelector('vqc-player').player.isPlaying")
    thinned = downloaded(page, page.locator("article").first)
    whole = (page.folder / "speech.vqc").read_bytes()
    assert np.array_equal(codes_of(whole, num_codebooks=3), codes_of(thinned))
    until(page, f"document.querySelector('.about').textContent.includes('{len(thinned)} bytes')")


@pytest.mark.slow
def test_a_browser_encodes_files_and_what_it_hears(page):
    page.locator("#input").set_input_files([page.folder / "speech.wav"])
    until(page, "document.querySelectorAll('vqc-player').length === 2")
    data = bytes_of(page, 0)
    assert VqcReader(io.BytesIO(data)).scan().samples == 32000
    wave, _ = vqcodec.decompress(data, engine="onnx")
    assert wave.shape == (1, 32000)
    assert np.corrcoef(wave[0], soundfile.read(page.folder / "speech.wav")[0])[0, 1] > 0.8
    page.get_by_role("button", name="Record").click()
    until(page, "document.getElementById('recorded').textContent >= '0:00:01'")
    page.get_by_role("button", name="Stop").click()
    until(page, "document.querySelectorAll('vqc-player').length === 3")
    data = bytes_of(page, 0)
    assert VqcReader(io.BytesIO(data)).scan().samples > 12000
    wave, _ = vqcodec.decompress(data, engine="onnx")
    assert np.abs(wave).max() > 0.01  # the fake device beeps
    again = downloaded(page, page.locator("article").first)
    assert again == data
    page.locator("#input").set_input_files([page.folder / "downloaded.vqc"])
    until(page, "document.querySelectorAll('vqc-player').length === 4")
    assert bytes_of(page, 0) == data
    page.locator("#input").set_input_files([Path(__file__)])
    until(page, "document.getElementById('status').textContent.includes('neither a .vqc nor sound')")


@pytest.mark.slow
def test_damage_is_shown_by_the_second_and_hostile_files_end_in_a_line(page, hostile):
    bent = bytearray((page.folder / "speech.vqc").read_bytes())
    bent[len(bent) * 4 // 5] ^= 1  # in the second chunk
    files = {"bent.vqc": bytes(bent), **{f"{name}.vqc": data for name, data in hostile.items()}}
    for name, data in files.items():
        (page.folder / name).write_bytes(data)
    page.locator("#input").set_input_files([page.folder / name for name in files])
    page.evaluate("""window.shown = (name) => {
        const player = document.querySelector(`vqc-player[aria-label="${name}"]`);
        const part = (its) => player?.shadowRoot.querySelector(its);
        const about = player?.parentElement.querySelector('.about').textContent;
        return [part('[part=damage]')?.textContent ?? '', part('[part=strip] i')?.style.left, about];
    }""")
    until(page, "shown('bent.vqc')[0].includes('is damaged from 0:00:05.12')")
    assert 50 < page.evaluate("parseFloat(shown('bent.vqc')[1])") < 60  # percent of nine seconds
    for name in list(files)[1:]:
        until(page, f"shown('{name}')[0] || shown('{name}')[2]")
    assert "is cut" in page.evaluate("shown('claims.vqc')[0]")


@pytest.mark.slow
def test_a_reader_of_screens_finds_its_way_and_nothing_is_wider_than_a_phone(page):
    if not AXE.exists():
        pytest.skip(f"{AXE} is not there")
    until(page, "document.querySelectorAll('canvas').length > 0")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate("axe.run().then(({ violations }) => violations)")
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.slow
def test_a_chunk_of_22_minutes_in_no_bytes_sounds_and_leaves_the_page_free(page):
    fingerprint = bytes.fromhex(zoo.open_weights("speech-16k").sha256[:8])
    header = Header(fingerprint, 16000, 320, 16000, 1, 65535 * 320, 12, 1024)
    body = join_layers([b""] * 12, header.payload_bytes(65535, 1))
    head = chunk_head(1, 65535, len(body), is_last=False)
    bomb = header.to_bytes() + head.to_bytes() + body + checksum(head, body, position=0)
    (page.folder / "bomb.vqc").write_bytes(bomb)
    page.locator("#input").set_input_files([page.folder / "bomb.vqc"])
    player = page.get_by_role("group", name="bomb.vqc")
    player.get_by_role("button", name="Play").click()
    until(page, "document.querySelector('vqc-player').player.position > 0.05")
    player.get_by_role("button", name="Pause").click()
    assert not page.evaluate("document.querySelector('vqc-player').player.isPlaying")


@pytest.mark.slow
def test_the_page_asks_nothing_of_others_and_has_no_errors(page):
    assert all(url.startswith((page.address, "blob:", "data:")) for url in page.asked)
    assert page.said == []

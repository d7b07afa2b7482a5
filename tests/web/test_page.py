"""The page: what the command writes, and that it plays and encodes in a browser."""

import io
import json
import threading
from http.server import SimpleHTTPRequestHandler
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


def drop(page, *paths):
    """Drop files on the page, as a hand does it; returns the class that the page has while they hang over it."""
    files = [[path.name, list(path.read_bytes())] for path in paths]
    carried = page.evaluate_handle(
        """(files) => {
            const carried = new DataTransfer();
            for (const [name, bytes] of files) carried.items.add(new File([Uint8Array.from(bytes)], name));
            return carried;
        }""",
        files,
    )
    page.dispatch_event("#items", "dragover", {"dataTransfer": carried})
    over = page.evaluate("document.body.className")
    page.dispatch_event("#items", "drop", {"dataTransfer": carried})
    assert page.evaluate("document.body.className") == ""
    return over


@pytest.mark.slow
def test_a_sound_and_a_vqc_that_are_dropped_are_there_as_players(page):
    whole = (page.folder / "speech.vqc").read_bytes()
    assert drop(page, page.folder / "speech.wav", page.folder / "speech.vqc") == "over"
    until(page, "document.querySelectorAll('vqc-player').length === 3")
    assert bytes_of(page, 0) == whole
    assert VqcReader(io.BytesIO(bytes_of(page, 1))).scan().samples == 32000
    names = page.locator("vqc-player").evaluate_all("all => all.map((each) => each.getAttribute('aria-label'))")
    assert names == ["speech.vqc", "speech.wav", "speech.vqc"]


@pytest.mark.slow
def test_the_original_sounds_at_the_position_of_what_is_decoded(page):
    wave = soundfile.read(page.folder / "speech.wav", dtype="float32")[0]
    player = page.get_by_role("group", name="speech.wav")
    page.evaluate("""() => {
        window.sounded = [];
        window.its = document.querySelector('vqc-player[aria-label="speech.wav"]');
        const copy = AudioBuffer.prototype.copyToChannel;
        AudioBuffer.prototype.copyToChannel = function (wave, channel) {
            window.sounded.push([...wave.subarray(0, 400)]);
            return copy.call(this, wave, channel);
        };
    }""")
    player.get_by_role("slider", name="Position").fill("0.5")
    player.get_by_role("button", name="Original").click()
    assert page.evaluate("its.player.position") == 0.5
    assert player.get_by_role("button", name="Original").get_attribute("aria-pressed") == "true"
    player.get_by_role("button", name="Play").click()
    until(page, "its.player.position > 0.6")
    assert np.abs(np.array(page.evaluate("sounded[0]")) - wave[8000:8400]).max() < 1e-4  # 16 bits are kept of it
    page.evaluate("sounded = []")
    before = page.evaluate("its.player.position")
    player.get_by_role("slider", name="Rate").fill("3")
    assert player.get_by_role("button", name="Original").get_attribute("aria-pressed") == "false"
    until(page, "sounded.length > 0 || !its.player.isPlaying")
    assert before <= page.evaluate("its.player.position")
    for block in page.evaluate("sounded"):
        assert min(np.abs(wave[at : at + len(block)] - block).max() for at in range(0, 32000 - len(block), 8)) > 1e-3


@pytest.mark.slow
def test_a_file_at_an_address_sounds_while_it_comes(page, monkeypatch):
    whole = (page.folder / "speech.vqc").read_bytes()
    (page.folder / "site" / "files" / "slow.vqc").write_bytes(whole)
    goes_on = threading.Event()
    copy = SimpleHTTPRequestHandler.copyfile

    def slowly(handler, source, target):
        if handler.path == "/files/slow.vqc":
            target.write(source.read(len(whole) * 7 // 10))  # the first chunk, and some of the second
            target.flush()
            assert goes_on.wait(60)
        copy(handler, source, target)

    monkeypatch.setattr(SimpleHTTPRequestHandler, "copyfile", slowly)
    page.evaluate("""() => {
        window.slow = document.createElement('vqc-player');
        slow.setAttribute('src', 'files/slow.vqc');
        document.body.append(slow);
    }""")
    try:
        until(page, "slow.opened !== null")
        page.evaluate("void slow.play()")
        until(page, "slow.player.position > 0.2")
        assert page.evaluate("slow.file.length") == 0
    finally:
        goes_on.set()
    until(page, f"slow.file.length === {len(whole)}")
    assert page.evaluate("slow.player.isPlaying")
    page.evaluate("slow.remove()")


@pytest.mark.slow
def test_a_browser_encodes_files_and_what_it_hears(page):
    page.locator("#input").set_input_files([page.folder / "speech.wav"])
    until(page, "document.querySelector('article h2').textContent === 'speech.wav'")
    others = page.locator("vqc-player").count()
    data = bytes_of(page, 0)
    assert VqcReader(io.BytesIO(data)).scan().samples == 32000
    wave, _ = vqcodec.decompress(data, engine="onnx")
    assert wave.shape == (1, 32000)
    assert np.corrcoef(wave[0], soundfile.read(page.folder / "speech.wav")[0])[0, 1] > 0.8
    page.get_by_role("button", name="Record").click()
    until(page, "document.getElementById('recorded').textContent >= '0:00:01'")
    page.get_by_role("button", name="Stop").click()
    until(page, f"document.querySelectorAll('vqc-player').length === {others} + 1")
    data = bytes_of(page, 0)
    assert VqcReader(io.BytesIO(data)).scan().samples > 12000
    wave, _ = vqcodec.decompress(data, engine="onnx")
    assert np.abs(wave).max() > 0.01  # the fake device beeps
    again = downloaded(page, page.locator("article").first)
    assert again == data
    page.locator("#input").set_input_files([page.folder / "downloaded.vqc"])
    until(page, f"document.querySelectorAll('vqc-player').length === {others} + 2")
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

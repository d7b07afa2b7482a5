"""The report in a real Chromium, from a file:// address."""

import json

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def page(browser, report):
    """The open report; the console must stay silent and the network unused."""
    opened = browser.new_page(viewport={"width": 1200, "height": 900}, accept_downloads=True)
    complaints, requests = [], []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(report.as_uri())
    opened.wait_for_selector(".exhibit .play")
    yield opened
    assert complaints == []
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == [report.as_uri()]
    opened.close()


def until(page, condition):
    """Wait until the expression is true; the page's policy forbids what Playwright's own waiting does."""
    for _ in range(1000):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(10)
    raise AssertionError(f"never: {condition}")


def state(page, number=0):
    script = "(n) => { const p = Player.all[n]; return [p.now(), p.isPlaying, p.current, p.sources.length]; }"
    return page.evaluate(script, number)


def started(page, seconds=0.2):
    page.click(".exhibit:nth-child(1) .play")
    until(page, f"Player.all[0].isPlaying && Player.all[0].now() > {seconds}")


def column(page, number):
    return page.eval_on_selector_all("tbody tr", f"rows => rows.map(row => row.cells[{number}].dataset.value)")


def test_every_rendering_loads_and_switching_keeps_position_and_playing(page):
    started(page)
    before, _, current, sources = state(page)
    assert (current, sources) == (0, 5)
    page.click(".exhibit:nth-child(1) .takes button:nth-child(3)")
    after, is_playing, current, _ = state(page)
    assert (is_playing, current) == (True, 2)
    assert before <= after < before + 1  # time went on, nothing jumped back
    gains = page.evaluate("Player.all[0].sources.map(({ source }) => source.buffer.duration)")
    assert gains == pytest.approx([2.0] * 5)
    until(page, "Player.all[0].sources[2].gain.gain.value > 0.99")
    until(page, "Player.all[0].sources[0].gain.gain.value < 0.01")


def test_switching_while_paused_keeps_the_position(page):
    started(page)
    page.click(".exhibit:nth-child(1) .play")
    before, is_playing, *_ = state(page)
    assert not is_playing
    page.click(".exhibit:nth-child(1) .takes button:nth-child(4)")
    assert state(page) == [before, False, 3, 0]


def test_the_spectrogram_and_scores_are_those_of_the_rendering_heard(page):
    first = page.get_attribute(".exhibit img", "src")
    page.click(".exhibit:nth-child(1) .takes button:nth-child(2)")
    assert page.get_attribute(".exhibit img", "src") != first
    assert "speech-16k" in page.get_attribute(".exhibit img", "alt")
    assert "1.65 kbps" in page.inner_text(".exhibit .scores")


def test_clicking_into_the_picture_seeks(page):
    picture = page.locator(".exhibit .picture").first
    picture.click(position={"x": picture.bounding_box()["width"] / 2, "y": 10})
    until(page, "Math.abs(Player.all[0].now() - 1) < 0.02")


def test_playing_one_clip_stops_the_other_and_ends_by_itself(page):
    started(page)
    page.click(".exhibit:nth-child(2) .play")
    until(page, "Player.all[1].isPlaying")
    assert state(page)[1] is False
    page.evaluate("Player.all[1].seek(1.8)")
    until(page, "!Player.all[1].isPlaying && Player.all[1].now() === 0")


def test_the_table_sorts_numbers_as_numbers_both_ways_and_by_keyboard(page):
    page.click("th:nth-child(3) button")
    rising = [float(value) for value in column(page, 2)]
    assert rising == sorted(rising) == [1.5, 3, 6, 10, 120]
    assert page.get_attribute("th:nth-child(3)", "aria-sort") == "ascending"
    page.focus("th:nth-child(3) button")
    page.keyboard.press("Enter")
    assert [float(value) for value in column(page, 2)] == rising[::-1]
    page.click("th:nth-child(5) button")
    assert column(page, 4) == ["2", "2.2", "2.5", "3.25", ""]  # what has no value stays last
    page.click("th:nth-child(5) button")
    assert column(page, 4) == ["3.25", "2.5", "2.2", "2", ""]


def test_keys_play_switch_and_seek(page):
    page.keyboard.press("Space")
    until(page, "Player.all[0].isPlaying")
    page.keyboard.press("2")
    page.keyboard.press("Space")
    assert state(page)[1:3] == [False, 2]
    page.evaluate("Player.all[0].seek(1.5)")
    page.keyboard.press("ArrowLeft")
    until(page, "Math.abs(Player.all[0].now() - 0.5) < 1e-6")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "play":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def seen(page):
    """All that a listener sees or hears read out, but for the data itself."""
    script = """() => {
        const names = [document.title, document.body.innerText];
        for (const node of document.body.querySelectorAll("*:not(script)")) {
            if (node.closest("[hidden]")) continue;
            for (const { value } of node.attributes) names.push(value);
        }
        return names.join("\\n");
    }"""
    return page.evaluate(script)


def test_the_blind_mode_hides_what_gives_codecs_away_and_then_shows_it(page, nasty):
    assert "opus" in seen(page)
    page.fill("#seed", "7")
    page.click("#blind")
    hidden = seen(page)
    for name in ("speech-16k", "opus", nasty, "first clip", "1.65", "low-pass", "PESQ", "base64"):
        assert name not in hidden, name
    assert page.locator(".exhibit:nth-child(1) .rating").count() == 5
    page.locator(".rating input").first.fill("80")
    page.click("#blind")
    assert "opus" in seen(page)
    assert "A was" in page.inner_text(".exhibit:nth-child(1) .revealed")


def test_the_seed_gives_the_order_and_clips_have_different_ones(page):
    orders = []
    for seed in ("7", "8", "7"):
        page.fill("#seed", seed)
        page.click("#blind")
        orders.append(page.evaluate("Player.all.map(p => p.items.slice(1).map(i => i.take).join())"))
        page.click("#blind")
    assert orders[0] == orders[2] != orders[1]
    assert orders[0][0] != orders[0][1]
    assert sorted(orders[0][0].split(",")) == list("01234")


def test_scores_download_with_what_they_belong_to(page, tmp_path, nasty):
    page.fill("#seed", "7")
    page.click("#blind")
    page.locator(".exhibit:nth-child(1) .rating input").nth(1).fill("64")
    assert page.locator(".exhibit:nth-child(1) .rating output").nth(1).inner_text() == "64, good"
    take = page.evaluate("Player.all[0].items[2].take")
    with page.expect_download() as waiting:
        page.click("#download")
    waiting.value.save_as(tmp_path / "scores.json")
    found = json.loads((tmp_path / "scores.json").read_text())
    assert found["seed"] == 7
    assert len(found["scores"]) == 10
    rated = [score for score in found["scores"] if score["score"] is not None]
    codecs = ["original", "speech-16k", "opus", nasty, "3.5 kHz low-pass"]
    assert [(r["clip"], r["letter"], r["codec"], r["score"]) for r in rated] == [("first clip", "B", codecs[take], 64)]


def test_a_phone_has_no_page_to_scroll_sideways(browser, report):
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.goto(report.as_uri())
    page.wait_for_selector(".exhibit .play")
    for _ in range(2):
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.click("#blind")
    page.close()

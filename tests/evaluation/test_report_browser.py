"""The report in a real Chromium, from a file:// address."""

import json

import pytest

from vqcodec.evaluation.listening.abx import discriminations
from vqcodec.evaluation.listening.listeners import read_listeners

pytestmark = pytest.mark.slow


@pytest.fixture
def page(browser, report):
    """The open report, its test that of all at once; the console must stay silent and the network unused."""
    opened = browser.new_page(viewport={"width": 1200, "height": 900}, accept_downloads=True)
    complaints, requests = [], []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(report.as_uri())
    opened.wait_for_selector(".exhibit .play")
    opened.select_option("#method", "MUSHRA")
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
    said = page.get_attribute(".exhibit .rates", "aria-label")
    assert said == "Rate of speech-16k 1.5 over time: mean 1.5, highest 2.0 kbps; the scale ends at 2.0"
    assert page.get_attribute(".exhibit .rates path", "d").count("M") == 20
    page.click(".exhibit:nth-child(1) .takes button:nth-child(3)")
    assert page.get_attribute(".exhibit .rates", "aria-label") == "The rate of opus 6 over time is not known"
    page.click(".exhibit:nth-child(1) .takes button:nth-child(2)")
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
    page.click("#listener")
    page.keyboard.type("a 0")  # text in a field, no commands
    assert page.input_value("#listener") == "a 0"
    assert state(page)[1:3] == [False, 2]


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


def downloaded(page, folder, button="#download"):
    """Press the button; the file in `folder` under the name that the page gives it."""
    with page.expect_download() as waiting:
        page.click(button)
    path = folder / waiting.value.suggested_filename
    assert not path.exists()
    waiting.value.save_as(path)
    return path


def test_listeners_of_one_seed_have_files_of_their_own_which_are_read_back(page, tmp_path):
    page.fill("#seed", "7")
    page.click("#blind")
    for number, name in enumerate(("Ada L. / é", "Eve", "Eve")):
        page.fill("#listener", name)
        page.evaluate("document.getElementById('listener').value += '\\ud83d'")  # half an emoji
        for clip in (1, 2):
            at = page.evaluate(f"Player.all[{clip - 1}].items.slice(1).findIndex(({{ take }}) => take === 0)")
            page.locator(f".exhibit:nth-child({clip}) .rating input").nth(at).fill(str(98 + number))
        downloaded(page, tmp_path)
    listeners = read_listeners(tmp_path)
    assert [listener.name.split("_20")[0] for listener in listeners] == [
        "mushra_Ada-L-é_7",
        "mushra_Eve_7",
        "mushra_Eve_7",
    ]
    for number, listener in enumerate(listeners):
        assert (listener.fault, listener.is_trained) == (None, False)
        assert [(r.stimulus.role, r.score) for r in listener.ratings] == [("reference", 98 + number)] * 2


def test_one_codec_at_a_time_is_rated_beside_the_reference_and_the_anchor(page, tmp_path, nasty):
    assert page.evaluate("[$('method').options[0].value, $('method').querySelectorAll('[selected]').length]") == [
        "MUSHRA 1S",
        0,
    ], "the default"
    page.select_option("#method", "MUSHRA 1S")
    page.fill("#seed", "7")
    page.click("#blind")
    assert page.is_disabled("#method")
    assert page.locator("#explain-1s").is_visible()
    assert not page.locator("#explain").is_visible()
    tested = []
    for trial in range(3):
        assert f"Trial {trial + 1} of 3" in page.inner_text(".exhibit:nth-child(1)")
        assert nasty not in page.inner_text("#listen")
        takes = page.evaluate("Player.all[0].items.map(({ take }) => take)")
        assert takes[0] == 0
        assert len(takes) == 4
        roles = {page.evaluate(f"Player.all[0].exhibit.takes[{take}].role"): take for take in takes[1:]}
        assert set(roles) == {"reference", "anchor", "codec"}
        tested.append(roles["codec"])
        for role, score in (("reference", 100 - trial), ("codec", 70 + trial)):
            page.locator(".exhibit:nth-child(1) .rating input").nth(takes.index(roles[role], 1) - 1).fill(str(score))
        if trial < 2:
            page.click(".exhibit:nth-child(1) .answers button:last-child")
    assert page.is_disabled(".exhibit:nth-child(1) .answers button:last-child")
    assert sorted(tested) == [1, 2, 3]
    page.click(".exhibit:nth-child(1) .answers button:first-child")
    assert page.locator(".exhibit:nth-child(1) .rating output", has_text="not rated").count() == 1
    path = downloaded(page, tmp_path)
    assert path.name.startswith("mushra-1s_7_")
    (listener,) = read_listeners(tmp_path)
    assert (listener.method, listener.fault) == ("MUSHRA 1S", None)
    scores = sorted((rating.stimulus.role, rating.score) for rating in listener.ratings)
    assert scores == [*(("codec", 70 + n) for n in range(3)), *(("reference", 98 + n) for n in range(3))]
    page.click("#blind")
    assert "3 A was" in page.inner_text(".exhibit:nth-child(1) .revealed")


def test_training_plays_all_by_name_and_the_file_says_whether_all_was_heard(page, tmp_path):
    page.click("#training")
    assert "3.5 kHz low-pass" in page.inner_text(".exhibit:nth-child(1) .takes")
    assert "0 of 10 heard" in page.inner_text("#explain-training")
    page.click(".exhibit:nth-child(1) .takes button:nth-child(5)")
    page.click(".exhibit:nth-child(1) .play")
    until(page, "Player.all[0].hasHeard(4)")
    assert "1 of 10 heard" in page.inner_text("#explain-training")
    assert page.locator(".heard").count() == 1
    page.evaluate("for (const p of Player.all) for (const take of [0, 1, 2, 3, 4]) p.heardSeconds.set(take, 1)")
    page.click("#training")
    assert "3.5 kHz low-pass" not in page.inner_text(".exhibit:nth-child(1) .takes")
    page.click("#blind")
    assert page.locator(".heard").count() == 0
    page.locator(".rating input").first.fill("80")
    assert read_listeners(downloaded(page, tmp_path).parent)[0].is_trained is True


def answer_abx(page, right):
    """Answer all trials by keyboard, the first `right` of them right."""
    for number, x in enumerate(page.evaluate("abx.trials.map(({ x }) => x)")):
        assert page.inner_text("#outcome").startswith(f"Trial {number + 1} of ")
        assert page.evaluate("document.activeElement.className") == "play"
        said = x if number < right else "BA"["AB".index(x)]
        page.locator(".exhibit:not([hidden]) .answers button", has_text=f"X is {said}").focus()
        page.keyboard.press("Enter")


def test_abx_hides_names_plays_what_x_is_and_is_read_back(page, tmp_path, nasty):
    page.fill("#seed", "7")
    page.fill("#trials", "12")
    page.select_option("#pair-b", label=f"{nasty} 3")
    page.click("#abx")
    hidden = seen(page)
    for name in ("speech-16k", "opus", nasty, "first clip", "1.65", "low-pass", "PESQ", "base64"):
        assert name not in hidden, name
    assert page.locator(".exhibit:not([hidden])").count() == 1
    drawn = page.evaluate("abx.trials.map(({ x, player }) => [x, player.number])")
    assert {x for x, _ in drawn} == {"A", "B"}
    assert {number for _, number in drawn} == {0, 1}
    number = drawn[0][1]
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    heard = 0 if drawn[0][0] == "A" else 3
    until(page, f"Player.all[{number}].isPlaying && Player.all[{number}].sources[{heard}].gain.gain.value > 0.99")
    answer_abx(page, right=10)
    path = downloaded(page, tmp_path, "#download-abx")
    page.click("#abx")
    assert f"A was original, B was {nasty} 3: 10 of 12 correct, p = 0.0193 (one-sided)" in page.inner_text("#outcome")
    (pair,) = discriminations([read_listeners(path.parent)[0].abx])
    assert (pair.b.codec, pair.b.kbps_asked, pair.correct, pair.trials) == (nasty, 3, 10, 12)
    assert round(pair.p_value, 4) == 0.0193


def test_abx_tells_nothing_on_the_way_goes_on_and_its_seed_draws_the_same(page):
    page.fill("#seed", "7")
    page.click("#abx")
    first = page.evaluate("abx.trials.map(({ x }) => x)")
    page.click(".exhibit:not([hidden]) .answers button")
    assert page.inner_text("#outcome") == "Trial 2 of 16"
    page.click("#abx")
    assert "1 of 16 trials are answered" in page.inner_text("#outcome")
    assert "correct" not in page.inner_text("#outcome")
    page.click("#abx")
    assert page.inner_text("#outcome") == "Trial 2 of 16"
    page.click("#abx")
    page.fill("#seed", "8")
    page.click("#abx")
    assert page.evaluate("abx.trials.map(({ x }) => x)") != first
    page.click("#abx")
    page.select_option("#pair-b", index=0)
    page.click("#abx")
    assert "two different renderings" in page.inner_text("#outcome")
    assert page.get_attribute("#abx", "aria-pressed") == "false"


def test_each_switch_of_a_test_goes_through_silence_also_one_that_changes_nothing(page):
    """Otherwise the hidden reference, and X, would be known by how they come in."""
    page.click("#abx")
    switches = page.evaluate(
        """async () => {
        const [player, schedule, switches] = [Player.last, AudioParam.prototype.setTargetAtTime, []];
        AudioParam.prototype.setTargetAtTime = function (level, at, constant) {
            switches.at(-1).push([this === player.master.gain, level, at]);
            return schedule.call(this, level, at, constant);
        };
        await player.play();
        for (const index of [2, 0, 2, 1]) { switches.push([]); player.choose(index); }
        return switches;
    }"""
    )
    assert len(switches) == 4
    for (is_master, down, begins), (_, up, ends), *takes in switches:
        assert (is_master, down, up) == (True, 0, 1)
        assert len(takes) == 5
        assert all(begins + 0.02 < at < ends for _, _, at in takes)


def test_a_phone_has_no_page_to_scroll_sideways(browser, report):
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.goto(report.as_uri())
    page.wait_for_selector(".exhibit .play")
    for _ in range(2):
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.click("#blind")
    page.close()

import base64
import html
import io
import json
import re
from dataclasses import replace

import numpy as np
import soundfile

from vqcodec.evaluation.report.html import write_report
from vqcodec.evaluation.report.plots import rate_quality_curve, svg_of
from vqcodec.evaluation.report.report_data import Exhibit, Take


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL).group(1))


def test_the_page_holds_every_number_and_wave(report, exhibits, nasty):
    page = report.read_text(encoding="utf-8")
    assert "3.250 ± 0.150" in page
    data = data_of(page)
    assert [exhibit["clip"] for exhibit in data["exhibits"]] == ["first clip", nasty]
    assert [exhibit["part"] for exhibit in data["exhibits"]] == ["", "the first 2 s of 0:01:03.50"]
    assert "mixed to mono" in page
    takes = data["exhibits"][0]["takes"]
    assert [take["label"] for take in takes] == [
        "original",
        "speech-16k 1.5",
        "opus 6",
        f"{nasty} 3",
        "3.5 kHz low-pass",
    ]
    wave, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(takes[1]["audio"])))
    assert rate_hz == 16000
    np.testing.assert_allclose(wave, exhibits[0].takes[0].wave_hat, atol=1 / 32768)
    assert "1.65 kbps" in takes[1]["facts"]
    assert "PESQ-WB 2.5" in takes[1]["facts"]
    assert takes[1]["rates"] == [1, 1.25, 1.5, 1.75, 2] * 4
    assert takes[0]["rates"] == takes[2]["rates"] == []
    assert data["exhibits"][0]["peak_kbps"] == 2


def test_the_anchor_has_nothing_above_3500_hz(report):
    anchor = data_of(report.read_text(encoding="utf-8"))["exhibits"][0]["takes"][-1]
    wave, _ = soundfile.read(io.BytesIO(base64.b64decode(anchor["audio"])))
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
    hz = np.fft.rfftfreq(len(wave), 1 / 16000)
    assert spectrum[hz > 4500].sum() < 1e-5 * spectrum[hz < 3000].sum()


def test_a_clip_of_a_wide_band_has_a_second_anchor_and_a_codec_of_its_name_is_none(tmp_path, points):
    wave = np.random.default_rng(0).normal(0, 0.1, 24000).astype(np.float32)
    exhibit = Exhibit(
        "noise", 24000, wave, [Take(name, None, 6.0, wave) for name in ("original", "7 kHz low-pass")], 1.0
    )
    write_report(tmp_path / "wide.html", title="wide", points=points, curves={}, exhibits=[exhibit])
    takes = data_of((tmp_path / "wide.html").read_text(encoding="utf-8"))["exhibits"][0]["takes"]
    assert [(take["role"], take["label"]) for take in takes] == [
        ("reference", "original"),
        ("codec", "original (a codec)"),
        ("codec", "7 kHz low-pass (a codec)"),
        ("anchor", "3.5 kHz low-pass"),
        ("mid_anchor", "7 kHz low-pass"),
    ]
    for take, cutoff in zip(takes[3:], (3500, 7000), strict=True):
        heard, _ = soundfile.read(io.BytesIO(base64.b64decode(take["audio"])))
        power = np.abs(np.fft.rfft(heard)) ** 2
        hz = np.fft.rfftfreq(len(heard), 1 / 24000)
        below, above = (power[band].mean() for band in (hz < 0.9 * cutoff, hz > 1.3 * cutoff))
        assert above < 1e-3 * below


def test_names_cannot_break_out(report, nasty):
    page = report.read_text(encoding="utf-8")
    assert page.count("</script>") == 2
    assert nasty not in page
    assert html.escape(nasty).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page


def test_nothing_is_fetched(report):
    page = report.read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=[\"'](?!data:)", page)
    assert "http://" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)


def test_equal_input_gives_equal_bytes(tmp_path, report, exhibits, points, nasty):
    curves = {"pesq_wb": svg_of(rate_quality_curve(points, "pesq_wb"))}
    write_report(tmp_path / "again.html", title=f"opus · {nasty}", points=points, curves=curves, exhibits=exhibits)
    assert (tmp_path / "again.html").read_bytes() == report.read_bytes()


def test_the_page_says_how_many_clips_the_protocol_asks_for_until_it_has_them(tmp_path, points, exhibits):
    asked = "asks for 100 clips"
    for count, said in ((1, "here is 1,"), (2, "here are 2,"), (100, None)):
        few = [replace(exhibits[0], takes=[], wave=exhibits[0].wave[:1600])] * count
        write_report(tmp_path / f"{count}.html", title="x", points=points, curves={}, exhibits=few)
        page = " ".join((tmp_path / f"{count}.html").read_text(encoding="utf-8").split())
        assert (asked in page, said is None or said in page) == (said is not None, True)


def test_without_clips_there_is_no_player(tmp_path, points):
    write_report(tmp_path / "report.html", title="none", points=points, curves={}, exhibits=[])
    assert 'id="listen"' not in (tmp_path / "report.html").read_text(encoding="utf-8")

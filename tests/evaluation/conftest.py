import os
from pathlib import Path

import numpy as np
import pytest

from vqcodec.evaluation.report.html import write_report
from vqcodec.evaluation.report.plots import rate_quality_curve, svg_of
from vqcodec.evaluation.report.report_data import Exhibit, Interval, Point, Take

CHROMIUM = Path("/usr/bin/chromium")
_ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_NASTY = "</script><b>\"&'é"


def interval(mean):
    return Interval(mean, mean - 0.1, mean + 0.2, 5)


def point(codec, kbps, score, **facts):
    return Point(codec, kbps, interval(kbps), None, {"pesq_wb": interval(score)}, **facts)


_POINTS = [
    point("speech-16k", 1.5, 2.0),
    point("speech-16k", 10, 3.25),
    point("opus", 6, 2.2),
    Point("flac", None, interval(120), interval(110), {"pesq_wb": Interval(np.nan, np.nan, np.nan, 0, 5)}),
    point(_NASTY, 3, 2.5),
]


@pytest.fixture
def nasty():
    """A name that would break out of HTML, JSON and scripts."""
    return _NASTY


@pytest.fixture
def points():
    """Five points of four codecs."""
    return _POINTS


@pytest.fixture(scope="module")
def exhibits(speech):
    """Two clips with three takes each, one of an awkward name."""

    def take(codec, kbps, gain, **more):
        return Take(codec, kbps, kbps * 1.1, (gain * speech[:32000]).astype(np.float32), {"pesq_wb": 2.5}, **more)

    rates = tuple(1 + place % 5 / 4 for place in range(20))
    takes = [take("speech-16k", 1.5, 0.9, kbps_over_time=rates), take("opus", 6, 0.8), take(_NASTY, 3, 0.7)]
    return [Exhibit(name, 16000, speech[:32000], takes, whole) for name, whole in (("first clip", 2.0), (_NASTY, 63.5))]


@pytest.fixture(scope="module")
def report(tmp_path_factory, exhibits):
    """A report on the disk."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    curves = {"pesq_wb": svg_of(rate_quality_curve(_POINTS, "pesq_wb"))}
    write_report(path, title=f"opus · {_NASTY}", points=_POINTS, curves=curves, exhibits=exhibits)
    return path


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium. Where CI is set it must be there."""
    if not CHROMIUM.exists() and not os.environ.get("CI"):
        pytest.skip(f"{CHROMIUM} is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_ARGUMENTS))
        yield launched
        launched.close()

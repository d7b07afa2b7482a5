import io

import numpy as np
from PIL import Image

from vqcodec.evaluation.report.plots import (
    rate_quality_curve,
    spectrogram_levels,
    spectrogram_png,
    svg_of,
    write_figure,
)


def test_a_curve_has_a_line_per_codec_at_measured_rates_with_its_interval(points):
    axes = rate_quality_curve(points, "pesq_wb").axes[0]
    line, *_ = axes.containers[0]
    assert list(line.get_xdata()) == [1.5, 10]
    assert list(line.get_ydata()) == [2.0, 3.25]
    up_and_down = axes.containers[0][2][1].get_segments()[0]
    np.testing.assert_allclose(up_and_down[:, 1], [1.9, 2.2])
    assert [container.get_label() for container in axes.containers] == ["speech-16k", "opus", points[-1].codec]
    assert axes.get_xscale() == "log"


def test_the_same_points_give_the_same_svg(points):
    assert svg_of(rate_quality_curve(points, "pesq_wb")) == svg_of(rate_quality_curve(points, "pesq_wb"))


def test_no_point_is_an_empty_picture(tmp_path):
    write_figure(tmp_path / "curves" / "none", rate_quality_curve([], "estoi"))
    assert (tmp_path / "curves" / "none.svg").read_text().startswith("<?xml")
    with Image.open(tmp_path / "curves" / "none.png") as picture:
        assert picture.size[0] > 500


def test_a_spectrogram_is_bright_where_the_tone_is_and_small():
    seconds = np.arange(16000) / 16000
    tone = np.where(seconds < 0.5, np.sin(2 * np.pi * 1000 * seconds), 0).astype(np.float32)
    levels = spectrogram_levels(tone, 16000)
    data = spectrogram_png(levels, top_db=levels.max(), width=400, height=100)
    picture = np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(float)
    assert picture.shape == (100, 400)
    assert len(data) <= 50_000
    bright = picture[:, 50:150].mean(axis=1)
    assert 100 - bright.argmax() == np.clip(100 - bright.argmax(), 25, 55)  # 1 kHz on a mel axis up to 8 kHz: 35 %
    assert picture[:, 250:].mean() < 0.1 * bright.max()


def test_real_speech_stays_small(speech):
    levels = spectrogram_levels(speech, 16000)
    assert len(spectrogram_png(levels, top_db=levels.max(), width=960, height=180)) <= 60_000

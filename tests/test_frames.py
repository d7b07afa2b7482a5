import math

from hypothesis import given
from hypothesis import strategies as st

from vqcodec.frames import (
    bits_per_code,
    ceil_div,
    clock,
    codebook_kbps,
    codebooks_for_kbps,
    num_frames,
    resampled_length,
)

SPEECH = {"sample_rate_hz": 16000, "hop_length": 320, "codebook_size": 1024}


@given(st.integers(0, 10**15), st.integers(1, 10**6))
def test_ceil_div_is_the_exact_ceiling(numerator, denominator):
    result = ceil_div(numerator, denominator)
    assert (result - 1) * denominator < numerator <= result * denominator


@given(st.integers(0, 10**9), st.integers(1, 10**4))
def test_frames_cover_all_samples_and_no_frame_is_empty(samples, hop):
    frames = num_frames(samples, hop)
    assert frames * hop >= samples > (frames - 1) * hop or samples == frames == 0


@given(st.integers(0, 10**9), st.integers(4000, 192000), st.integers(4000, 192000))
def test_resampling_forth_and_back_loses_no_sample(samples, from_hz, to_hz):
    assert resampled_length(resampled_length(samples, from_hz, to_hz), to_hz, from_hz) >= samples


def test_bits_per_code_is_the_logarithm():
    assert [bits_per_code(size) for size in (2, 3, 1024, 1025, 65536)] == [1, 2, 10, 11, 16]


def test_one_codebook_of_the_speech_model_is_half_a_kbps():
    assert codebook_kbps(**SPEECH) == 0.5


def test_kbps_chooses_the_highest_depth_that_is_not_above():
    asked = [0.1, 0.5, 0.99, 1.0, 1.5, 3, 5.99, 6, 100]
    got = [codebooks_for_kbps(kbps, **SPEECH, total_codebooks=12) for kbps in asked]
    assert got == [1, 1, 1, 2, 3, 6, 11, 12, 12]


@given(st.integers(1, 12))
def test_the_nominal_rate_of_a_depth_gives_that_depth(depth):
    kbps = depth * codebook_kbps(**SPEECH)
    assert codebooks_for_kbps(kbps, **SPEECH, total_codebooks=12) == depth
    below = codebooks_for_kbps(math.nextafter(kbps, 0), **SPEECH, total_codebooks=12)
    assert below == max(1, depth - 1)


def test_times_are_hours_minutes_and_seconds_and_round_as_one():
    assert [clock(seconds) for seconds in (0, 5.139, 59.996, 3725.5)] == [
        *("0:00:00.00", "0:00:05.14", "0:01:00.00", "1:02:05.50"),
    ]
    assert [clock(seconds) for seconds in (-1.0, float("nan"), float("inf"))] == ["-1 s", "nan s", "inf s"]
    assert clock(3599.7, decimals=0) == "1:00:00"
    assert clock(36000 * 10 + 0.0004, decimals=3) == "100:00:00.000"

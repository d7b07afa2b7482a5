import shutil

import numpy as np
import pytest
import soundfile
import torch

from vqcodec.errors import AudioError, TrainingError
from vqcodec.training.config import DataConfig
from vqcodec.training.data.segments import Segments, batches


@pytest.fixture
def config(speech_path):
    return DataConfig(
        train=[str(speech_path.parent)],
        segment_seconds=0.2,
        batch_size=3,
        speed=(0.9, 1.1),
        speed_share=0.5,
        filter_db=6,
        filter_share=0.5,
        noise_share=0.5,
    )


def test_a_segment_is_a_function_of_seed_and_index(config):
    one, other = Segments(config, 16000, seed=1), Segments(config, 16000, seed=1)
    for index in (5, 0, 5, 10**12):
        assert torch.equal(one[index][0], other[index][0])
    assert not torch.equal(one[0][0], one[1][0])
    assert not torch.equal(one[0][0], Segments(config, 16000, seed=2)[0][0])


def test_segments_have_the_length_asked_for_at_any_rate(config):
    for rate_hz in (8000, 16000, 44100):
        segments = Segments(config, rate_hz, seed=0)
        for index in range(20):
            samples = segments[index].samples
            assert samples.shape == (round(0.2 * rate_hz),)
            assert samples.dtype == torch.float32
            assert samples.abs().max() <= 1


def test_the_cache_changes_nothing(config):
    cached = Segments(config, 16000, seed=0)
    uncached = Segments(config.model_copy(update={"cache_mb": 0}), 16000, seed=0)
    for index in range(5):
        assert torch.equal(cached[index][0], uncached[index][0])


@pytest.mark.parametrize("cache_mb", [0, 100])
def test_only_the_part_of_a_file_that_a_manifest_names_is_trained_on(tmp_path, cache_mb):
    """The file is 0.1 in that part, 0.9 around it."""
    wave = np.full(48000, 0.9, np.float32)
    wave[16000:24000] = 0.1
    soundfile.write(tmp_path / "a.wav", wave, 16000)
    (tmp_path / "m.csv").write_text("path,start,duration\na.wav,1.0,0.5\n")
    plain = {"segment_seconds": 0.4, "speed_share": 0, "filter_share": 0, "noise_share": 0, "cache_mb": cache_mb}
    segments = Segments(DataConfig(train=[str(tmp_path / "m.csv")], **plain), 16000, seed=0)
    assert segments.hours == pytest.approx(0.5 / 3600)
    with_own_level = [segments[index][0] for index in range(20)]
    assert all(float(part.max() - part.min()) < 0.01 for part in with_own_level)
    (tmp_path / "m.csv").write_text("path,start,duration\na.wav,2.9,0.5\n")
    with pytest.raises(TrainingError, match="but the audio is 0:00:03.00 long"):
        Segments(DataConfig(train=[str(tmp_path / "m.csv")], **plain), 16000, seed=0)


@pytest.mark.parametrize("cache_mb", [0, 100])
def test_only_the_channel_and_the_part_up_to_the_end_that_a_manifest_names_are_trained_on(tmp_path, cache_mb):
    """The rows name what is 0.1 and 0.2; all around it is 0.9."""
    waves = np.full((2, 48000), 0.9, np.float32)
    waves[1, 16000:24000], waves[0, 24000:32000] = 0.1, 0.2
    soundfile.write(tmp_path / "a.wav", waves.T, 16000)
    plain = {"segment_seconds": 0.4, "speed_share": 0, "filter_share": 0, "noise_share": 0, "cache_mb": cache_mb}
    plain["gain_db"] = (0, 0)
    (tmp_path / "m.csv").write_text("path,start,end,channel\na.wav,1.0,1.5,1\na.wav,1.5,2.0,0\na.wav,1.5,2.0,\n")
    segments = Segments(DataConfig(train=[str(tmp_path / "m.csv")], **plain), 16000, seed=0)
    assert segments.hours == pytest.approx(1.5 / 3600)
    levels = {round(float(sample), 3) for index in range(30) for sample in segments[index][0]}
    assert levels == {0.1, 0.2}
    (tmp_path / "m.csv").write_text("path,channel\na.wav,2\n")
    with pytest.raises(TrainingError, match=r"has no channel 2; give 0 to 1"):
        Segments(DataConfig(train=[str(tmp_path / "m.csv")], **plain), 16000, seed=0)


@pytest.mark.parametrize("section", ["noises", "rooms"])
def test_noises_and_rooms_are_of_the_channel_and_part_that_a_manifest_names(tmp_path, config, section):
    waves = np.stack([np.full(16000, 0.9), np.linspace(0, 0.5, 16000)]).astype(np.float32)
    soundfile.write(tmp_path / "around.wav", waves.T, 16000, subtype="FLOAT")
    (tmp_path / "m.csv").write_text("path,end,channel\naround.wav,0.5,1\n")
    asked = config.model_copy(update={section: [str(tmp_path / "m.csv")]})
    (recording,) = getattr(Segments(asked, 16000, seed=0)._around, section)
    np.testing.assert_array_equal(recording, waves[1, :8000])


def test_long_clips_are_drawn_in_proportion(config):
    """5.1 s and 3.1 s: 62 % of the segments come from the first."""
    segments = Segments(config, 8000, seed=0)
    share = np.mean(["ljspeech" in segments[index][1] for index in range(400)])
    assert share == pytest.approx(5.139 / (5.139 + 3.11), abs=0.08)


def test_processes_and_workers_share_the_segments_without_overlap(config):
    segments = Segments(config, 8000, seed=0)
    whole = torch.cat([batch.wave for batch in batches(segments, range(2, 4), rank=0, world_size=1)])
    assert whole.shape == (6, 1, 1600)
    first, second = (list(batches(segments, range(1, 2), rank=rank, world_size=2)) for rank in (0, 1))
    assert torch.equal(torch.cat([first[0].wave, second[0].wave]), whole)


def test_clips_that_are_too_short_are_left_out(tmp_path, config):
    soundfile.write(tmp_path / "short.wav", np.zeros(400), 8000)
    with pytest.raises(TrainingError, match="0.1 seconds or longer"):
        Segments(config.model_copy(update={"train": [str(tmp_path)]}), 8000, seed=0)


@pytest.mark.parametrize("cache_mb", [0, 1])
def test_samples_come_alike_from_every_format(tmp_path, speech_path, config, cache_mb):
    """A float file read as integers without a scale is silence."""
    wave, rate_hz = soundfile.read(speech_path)
    plain = {"speed_share": 0, "filter_share": 0, "noise_share": 0, "cache_mb": cache_mb}
    segments = []
    for subtype in ("PCM_16", "PCM_24", "FLOAT", "DOUBLE"):
        path = tmp_path / f"{subtype}.wav"
        soundfile.write(path, wave, rate_hz, subtype=subtype)
        settings = config.model_copy(update={"train": [str(path)], **plain})
        segments.append(torch.stack([Segments(settings, rate_hz, seed=0)[index][0] for index in range(3)]))
    assert segments[0].abs().amax() > 0.01
    for other in segments[1:]:
        assert torch.equal(segments[0], other)


def test_files_that_cannot_be_opened_are_named_before_the_first_step(tmp_path, speech_path, config):
    shutil.copy(speech_path, tmp_path / "c.flac")
    (tmp_path / "a.wav").write_text("no sound")
    (tmp_path / "b.wav").touch()
    with pytest.raises(TrainingError, match=r"a\.wav: no audio .*leave it out of data\.train .*: 2\)"):
        Segments(config.model_copy(update={"train": [str(tmp_path)]}), 8000, seed=0)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_damaged_file_is_named_in_one_line(tmp_path, speech_path, config, workers):
    wave, rate_hz = soundfile.read(speech_path)
    wave[1000] = np.nan
    soundfile.write(tmp_path / "bad.wav", wave, rate_hz, subtype="FLOAT")
    segments = Segments(config.model_copy(update={"train": [str(tmp_path)], "workers": workers}), 8000, seed=0)
    with pytest.raises(AudioError, match=r"^[^\n]*bad\.wav: a sample at 0:00:00\.\d+ is NaN[^\n]*$"):
        list(batches(segments, range(1), rank=0, world_size=1))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_worker_processes_give_the_same_batches(config):
    alone = list(batches(Segments(config, 8000, seed=0), range(3), rank=0, world_size=1))
    workers = Segments(config.model_copy(update={"workers": 2}), 8000, seed=0)
    for one, other in zip(alone, batches(workers, range(3), rank=0, world_size=1), strict=True):
        assert torch.equal(one.wave, other.wave)
        assert one.paths == other.paths

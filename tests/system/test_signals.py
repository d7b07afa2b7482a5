import io
import signal
import threading

import numpy as np
import pytest
import soundfile

from vqcodec.audio.libsndfile import HeldSoundFile, SoundFile
from vqcodec.system.signals import signals_held


def test_a_signal_is_heeded_at_the_end_of_the_block():
    reached = False
    with pytest.raises(KeyboardInterrupt), signals_held():
        signal.raise_signal(signal.SIGINT)
        reached = True
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_that_would_end_the_process_at_once_still_does():
    with signals_held():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_another_thread_holds_nothing():
    handlers = []

    def look():
        with signals_held():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


class _Interrupted(io.BytesIO):
    """A file whose user gets Ctrl-C while libsndfile calls for bytes, or gives some, the `at`-th time."""

    at = calls = 0

    def count(self):
        self.calls += 1
        if self.calls == self.at:
            signal.raise_signal(signal.SIGINT)

    def readinto(self, buffer):
        self.count()
        return super().readinto(buffer)

    def write(self, data):
        self.count()
        return super().write(data)


def test_no_signal_is_lost_in_a_call_back_of_libsndfile(capfd):
    data = io.BytesIO()
    soundfile.write(data, np.zeros(160_000, np.int16), 16000, format="WAV")
    whole = _Interrupted(data.getvalue())
    SoundFile(whole).read()
    assert whole.calls > 20
    for at in range(1, whole.calls + 1):
        file = _Interrupted(data.getvalue())
        file.at = at
        with pytest.raises(KeyboardInterrupt):
            SoundFile(file).read()
    assert capfd.readouterr().err == ""


def _written(file):
    with HeldSoundFile(file, "w", 16000, 1, format="WAV") as target:
        for _ in range(3):
            target.write(np.zeros(8000, np.float32))


def test_no_signal_is_lost_while_libsndfile_writes(capfd):
    whole = _Interrupted()
    _written(whole)
    assert whole.calls > 5
    for at in range(1, whole.calls + 1):
        file = _Interrupted()
        file.at = at
        with pytest.raises(KeyboardInterrupt):
            _written(file)
    assert capfd.readouterr().err == ""

"""Decoding in a process with limits gives the same film, and the end of that process leaves its parent alive."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import kneeoa_hub
from benchmarks.film_kinds import film_files, picture
from kneeoa_hub.errors import DamagedFilm, EmptyFilm, FilmTooLarge, KneeOAError, SeveralFrames
from kneeoa_hub.imaging import decode_process, decode_worker
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.decode_process import DecodeProcesses
from kneeoa_hub.imaging.film import Limits
from kneeoa_hub.imaging.passing import EndedDecoding, SlowDecoding
from kneeoa_hub.imaging.phantom import knee_film
from kneeoa_hub.imaging.shared_memory import LEAST_BYTES

from ..support.hostile import hostile_worker
from ..support.pictures import two_pages

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not decode_worker.STATUS.exists(), reason="Linux alone limits a process's memory"),
]
FILM = knee_film(2, 7, bits=16).pixels.astype(np.uint16)


@pytest.fixture(scope="module")
def processes() -> DecodeProcesses:
    return DecodeProcesses(1, Limits())


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> DecodeProcesses:
    monkeypatch.setattr(decode_process, "WORKER", hostile_worker(tmp_path, monkeypatch))
    return DecodeProcesses(1, Limits())


def test_every_kind_of_film_is_the_same_film(processes: DecodeProcesses):
    for file in film_files(FILM):
        here, there = decode(file.content), decode(file.content, file_decoder=processes)
        np.testing.assert_array_equal(here.pixels, there.pixels)
        assert decode_worker.fields_of(here) == decode_worker.fields_of(there)
        assert there.pixels.flags.writeable


def test_a_large_film_comes_through_shared_memory_and_leaves_none_of_it(processes: DecodeProcesses):
    side = int((LEAST_BYTES / 4) ** 0.5) + 1
    stored = np.arange(side * side, dtype=np.uint32).reshape(side, side).astype(np.uint16)
    for content in (picture(stored, "PNG", compress_level=1), picture(stored.astype(np.uint8), "BMP")):
        film = decode(content, file_decoder=processes)
        np.testing.assert_array_equal(film.pixels, decode(content).pixels)
        (process,) = processes._idle.queue
        assert process
        assert process._memory
        assert not any(process._memory._memory[:: LEAST_BYTES // 64])


def test_errors_are_the_same_errors(processes: DecodeProcesses):
    for content, error in ((two_pages(), SeveralFrames), (b"BM" + bytes(40), DamagedFilm)):
        with pytest.raises(KneeOAError) as here:
            decode(content)
        with pytest.raises(error) as there:
            decode(content, file_decoder=processes)
        assert here.value.message == there.value.message
    with pytest.raises(EmptyFilm):
        decode(b"", file_decoder=processes)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"memory", FilmTooLarge, "more memory than a film should"),
        (b"time", SlowDecoding, "takes too long to decode"),
        (b"crash", EndedDecoding, "ended the process that decoded it"),
    ],
)
def test_a_film_that_needs_too_much_memory_ends_its_process_and_the_next_film_is_read(
    hostile: DecodeProcesses, content: bytes, error: type[KneeOAError], message: str
):
    with pytest.raises(error, match=message):
        decode(content, file_decoder=hostile)
    good = next(iter(film_files(FILM)))
    assert decode(good.content, file_decoder=hostile).pixels.shape == FILM.shape


def test_a_process_has_no_secrets_and_keeps_working_when_its_group_is_signalled_to_stop(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("HF_TOKEN", "secret")
    processes = DecodeProcesses(1, Limits())
    good = next(iter(film_files(FILM)))
    decode(good.content, file_decoder=processes)
    (process,) = processes._idle.queue
    assert process
    pid = process._process.pid
    with open(f"/proc/{pid}/environ") as environ:
        assert "HF_TOKEN" not in environ.read()
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    decode(good.content, file_decoder=processes)
    assert processes._idle.queue == [process]


def test_the_processes_end_with_their_owner():
    code = (
        "import kneeoa_hub.imaging.decode_process as p, os; from kneeoa_hub.imaging.film import Limits\n"
        "pool = p.DecodeProcesses(2, Limits()); print(*[one._process.pid for one in pool._idle.queue], flush=True)\n"
        "os._exit(0)"
    )
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    left = [int(pid) for pid in started.stdout.split()]
    assert len(left) == 2
    until = time.monotonic() + 60
    while any(os.path.exists(f"/proc/{pid}") for pid in left) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [pid for pid in left if os.path.exists(f"/proc/{pid}")]


def test_the_grader_of_the_library_decodes_in_processes_by_a_setting(monkeypatch: pytest.MonkeyPatch):
    files = {file.kind: file.content for file in film_files(FILM)}
    film = next(iter(files.values()))
    here = kneeoa_hub.from_pretrained().grade(film)
    monkeypatch.setenv("KNEEOA_DECODE_PROCESS", "2")
    grader = kneeoa_hub.from_pretrained()
    assert isinstance(grader._decode_file, DecodeProcesses)
    answers: list = []
    threads = [threading.Thread(target=lambda: answers.append(grader.grade(film))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.to_dict() for answer in answers] == [here.to_dict()] * 4


def test_an_interrupt_leaves_no_answer_to_the_next_film(processes: DecodeProcesses, monkeypatch: pytest.MonkeyPatch):
    other = knee_film(4, 3, bits=16).pixels.astype(np.uint16)
    with monkeypatch.context() as patch:
        patch.setattr(decode_process.json, "loads", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            decode(picture(FILM, "PNG"), file_decoder=processes)
    film = decode(picture(other, "PNG"), file_decoder=processes)
    np.testing.assert_array_equal(film.pixels, decode(picture(other, "PNG")).pixels)


def _interrupted(line: bytes) -> None:
    raise KeyboardInterrupt


def test_a_process_that_can_not_be_started_is_an_error_of_one_film(monkeypatch: pytest.MonkeyPatch):
    def no_process(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    processes = DecodeProcesses(1, Limits())
    with monkeypatch.context() as patch:
        patch.setattr(decode_process.json, "loads", _interrupted)
        patch.setattr(decode_process.subprocess, "Popen", no_process)
        with pytest.raises(KeyboardInterrupt):
            decode(picture(FILM, "PNG"), file_decoder=processes)
        for _ in range(2):
            with pytest.raises(KneeOAError, match=r"No process that decodes .*\(Resource temporarily unavailable\)"):
                decode(picture(FILM, "PNG"), file_decoder=processes)
    np.testing.assert_array_equal(decode(picture(FILM, "PNG"), file_decoder=processes).pixels, FILM)

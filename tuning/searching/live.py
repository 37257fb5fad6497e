"""Signs of life: what each process of a search is doing, in small files that the others and the report read.

Keras Tuner's chief does not notice that a worker has died, and its workers wait an hour for a chief that has. Every
process therefore renews a file of its own, and whoever waits for another one looks at that one's file.
"""

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path

from kneeoa_hub.errors import DataError, KneeOAError, OutputError
from kneeoa_hub.files import UNFINISHED, replacing

FOLDER = "live"
CHIEF, HERE = "chief", "here"
"""The names of the process that draws the trials, and of one that trains them too."""
BEAT_S, LOST_S = 1.0, 120.0
"""Seconds between two signs of life, and after which one who gave none is lost. Shared folders show a change late."""
WAIT_S = 600.0
"""Seconds that a worker waits for the folder of its search, and then for the first sign of its chief."""
CHIEF_PID = "KERASTUNER_CHIEF_PID"
"""The environment variable that gives a worker on the chief's own machine the chief's process id."""
LOST_CODE = 75
"""Exit code of a worker whose chief is lost or answers with an error."""


@dataclass(frozen=True)
class Doing:
    """What a process does: a trial, how many of its epochs are done, and all of its epochs; or nothing yet.

    Attributes:
        process: The name of the process.
        trial: The trial that it trains.
        done: Epochs of it that are done.
        epochs: All epochs of it.
        fault: Why the process has ended, where that was no fault of a trial.
        code: The code of that error.
    """

    process: str
    trial: str = ""
    done: int = 0
    epochs: int = 0
    fault: str = ""
    code: str = ""


class Sign:
    """The sign of life of one process."""

    def __init__(self, out: Path, process: str):
        self.path, self.process = sign_path(out, process), process
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for left in self.path.parent.glob(f"{UNFINISHED}????????-{escape(self.path.name)}"):
            left.unlink(missing_ok=True)  # a kill left it
        self._write(Doing(process))

    def show(self, doing: Doing) -> None:
        """Say what the process does now, where that can be written; no trial fails by it."""
        with suppress(OSError):
            self.path.read_bytes()  # where the sign is gone, another search may be in its folder
            self._write(doing)

    def check(self) -> None:
        """Raise DataError where the sign is gone with its search, so that another search gets no result of this one."""
        with suppress(OSError):  # a shared folder may not answer for a moment
            try:
                self.path.read_bytes()
            except FileNotFoundError:
                raise DataError(
                    f"{self.path.parent.parent} was removed while {self.process} trained a trial of its search; give"
                    " the worker's command again for the search that is there now."
                ) from None

    def renew(self) -> None:
        """Say that the process lives."""
        with suppress(OSError):  # the search has ended, or a shared folder does not answer for a moment
            os.utime(self.path)

    def end_by(self, error: KneeOAError) -> None:
        """Say that the process has ended by an error that every other trial would have too."""
        self.show(Doing(self.process, fault=error.message, code=error.code))

    def remove(self) -> None:
        """Say that the process has ended, where that can be said: a shared folder may be gone with the chief."""
        with suppress(OSError):
            self.path.unlink()

    def _write(self, doing: Doing) -> None:
        with replacing(self.path) as part:
            part.write_text(json.dumps(asdict(doing)), "utf-8")


class Listener:
    """Notices that a process gives no sign of life any more, by this machine's clock alone."""

    def __init__(self, out: Path, first_s: float = 0.0):
        """Begin to listen.

        Args:
            out: Output folder of the search.
            first_s: Seconds that a process has for its first sign, if these are more than LOST_S.
        """
        self.out, self.first_s = out, first_s
        self._seen: dict[str, tuple[float, float, bool]] = {}

    def lost(self, process: str) -> bool:
        """Return whether a process has given no sign of life for LOST_S seconds, or no first one in its time."""
        changed = 0.0
        with suppress(OSError):
            changed = sign_path(self.out, process).stat().st_mtime
        now = time.monotonic()
        before, since, heard = self._seen.get(process, (changed, now, False))  # the sign may be of an earlier run
        if before != changed:
            since, heard = now, True
        self._seen[process] = changed, since, heard
        return now - since > (LOST_S if heard else max(LOST_S, self.first_s))


def keep_renewing(sign: Sign, out: Path) -> None:
    """Renew the sign of a worker in the background, and end the process when its chief is lost.

    A worker that waits for an answer of its chief does not notice this by itself, and nothing of it is worth keeping.
    It may start before its chief.
    """
    listener, parent = Listener(out, WAIT_S), os.environ.get(CHIEF_PID)

    def beat() -> None:
        while True:
            time.sleep(BEAT_S)
            sign.renew()
            if listener.lost(CHIEF) or (parent and parent != str(os.getppid())):
                say_lost(out)
                sign.remove()
                os._exit(LOST_CODE)

    threading.Thread(target=beat, name="sign of life", daemon=True).start()


@contextmanager
def renewed(sign: Sign) -> Iterator[None]:
    """Renew the sign of a process without a chief in the background while the block runs: an epoch may take long.

    The sign goes with the block, but stays where the process goes on as a new one.
    """
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_S):
            sign.renew()

    thread = threading.Thread(target=beat, name="sign of life", daemon=True)
    thread.start()
    try:
        yield
        sign.remove()
    except (KneeOAError, KeyboardInterrupt):
        sign.remove()
        raise
    finally:
        ended.set()
        thread.join()


def say_lost(out: Path) -> None:
    """Say to whoever reads a worker's log that its chief is lost."""
    print(f"error: the chief of {out} has ended; start it again, then this worker.", file=sys.stderr, flush=True)


def sign_path(out: Path, process: str) -> Path:
    """Return the file of a process."""
    return out / FOLDER / f"{process}.json"


def has_ended(out: Path, process: str) -> bool:
    """Return whether a process has taken its sign away, which it leaves where it is killed."""
    try:
        sign_path(out, process).stat()
    except OSError as error:  # a shared folder may not answer for a moment
        return isinstance(error, FileNotFoundError)
    return False


def doing_now(out: Path) -> list[Doing]:
    """Return what the processes of a search that train do now; a file that is damaged is left out.

    A process that was silent for LOST_S seconds when another one gave a sign was killed, and does nothing. So was one
    whose trial has another process with a later sign.
    """
    signs = _signs(out)
    latest = max((when for _, when in signs), default=0.0)
    living = [(one, when) for one, when in signs if one.process != CHIEF and not one.fault and latest - when <= LOST_S]
    trains = {one.trial: one.process for one, _ in sorted(living, key=lambda sign: sign[1])}
    return [one for one, _ in living if not one.trial or trains[one.trial] == one.process]


def check_faults(out: Path) -> None:
    """Raise the error that has ended a process of a search and would end the others too."""
    for doing, _ in _signs(out):
        if doing.fault:
            kind = OutputError if doing.code == OutputError.code else DataError
            raise kind(f"{doing.fault} (said by {doing.process})")


def forget_faults(out: Path) -> None:
    """Forget the errors of an earlier run of a search, and the process that trained its trials alone: it is gone."""
    for doing, _ in _signs(out):
        if doing.fault or doing.process == HERE:
            sign_path(out, doing.process).unlink(missing_ok=True)


def _signs(out: Path) -> list[tuple[Doing, float]]:
    """What each process does, and when it gave its last sign of life."""
    found = []
    for path in sorted((out / FOLDER).glob("*.json")):
        try:
            found.append((Doing(**json.loads(path.read_text("utf-8"))), path.stat().st_mtime))
        except (OSError, ValueError, TypeError):
            continue
    return found


def silence_of(out: Path) -> float:
    """Return the seconds since a process of a search gave a sign of life, by the clocks of both machines."""
    signs = [0.0]
    for path in (out / FOLDER).glob("*.json"):
        with suppress(OSError):
            signs.append(path.stat().st_mtime)
    return max(0.0, time.time() - max(signs))


def forget_signs(out: Path) -> None:
    """Remove the signs of life of a search that has ended."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)

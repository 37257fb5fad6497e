"""Several associations send films to the DICOM node while its worker, and then the node itself, are killed.

    python -m benchmarks.node_load --out docs/evidence/node/load.json
        1,000 films, 8 associations, the worker killed twice and the node once; some ten minutes on two cores

The archive is a Storage SCP in this process, which counts how often it gets each report. A sender repeats a film until
the node has acknowledged it, as an archive does. Each film is a study of its own.
"""

import argparse
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import ComprehensiveSRStorage, DigitalXRayImageStorageForPresentation, generate_uid
from pynetdicom import AE, evt

from kneeoa_hub.imaging.phantom import knee_film

from .film_kinds import dicom
from .measuring import ROOT

PIXELS = knee_film(2, 7, bits=16).pixels >> 4
ACKNOWLEDGED = 0x0000


@dataclass(frozen=True)
class Outcome:
    """These figures say what came of the films.

    Attributes:
        films: Films sent.
        acknowledged: Films that the node answered with success.
        studies: Studies of which at least one report came.
        reports: Reports by their UID.
        repeated: Reports that came more than once, under the same UID; the archive keeps one.
        worker_kills: How often the worker was killed.
        node_kills: How often the node was killed, together with its worker.
        seconds: Seconds from the first film to the last report.
        films_per_second: Films by those seconds.
        median_seconds: Median time from the acknowledgement of a film to its report.
        p95_seconds: Its 95th percentile.
    """

    films: int
    acknowledged: int
    studies: int
    reports: int
    repeated: int
    worker_kills: int
    node_kills: int
    seconds: float
    films_per_second: float
    median_seconds: float
    p95_seconds: float


class Archive:
    """This archive counts the reports that it gets."""

    def __init__(self) -> None:
        self.reports: Counter[str] = Counter()
        self.arrived: dict[str, float] = {}
        entity = AE("ARCHIVE")
        entity.add_supported_context(ComprehensiveSRStorage)
        self._server: Any = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        self.port: int = self._server.server_address[1]

    def _store(self, event: Any) -> int:
        report = event.dataset
        self.arrived.setdefault(str(report.StudyInstanceUID), time.monotonic())
        self.reports[str(report.SOPInstanceUID)] += 1
        return ACKNOWLEDGED

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()


class Node:
    """The node runs as a process, which can be killed and started again on the same port."""

    def __init__(self, folder: Path, archive_port: int):
        self._variables = {
            "FOLDER": str(folder / "queue"),
            "PORT": "0",
            "ARCHIVE": f"dicom://ARCHIVE@127.0.0.1:{archive_port}",
            "SETTLE": "0",
        }
        self._log = folder / "node.log"
        self.port: int = 0
        self.start()

    def start(self) -> None:
        """Start, and wait until the node listens."""
        environ = os.environ | {f"KNEEOA_NODE_{name}": value for name, value in self._variables.items()}
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flask_app.node"], cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=log
            )
        assert self._process.stdout
        line = self._process.stdout.readline().decode()
        self.port = int(line.split("127.0.0.1:")[1].split()[0])
        self._variables["PORT"] = str(self.port)

    def kill_worker(self) -> None:
        """Kill the worker, as soon as there is one."""
        for worker in _wait(self._workers):
            os.kill(worker, signal.SIGKILL)

    def kill(self) -> None:
        """Kill the node and its worker, and start it again."""
        workers = self._workers()
        self._process.kill()
        self._process.wait()
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        self.start()

    def stop(self) -> None:
        """Stop as an operator does."""
        self._process.terminate()
        self._process.wait()

    def _workers(self) -> list[int]:
        number = self._process.pid
        return [int(one) for one in Path(f"/proc/{number}/task/{number}/children").read_text().split()]


def measure(films: int, associations: int, worker_kills: int, node_kills: int) -> Outcome:
    """Send the films, kill as asked at even distances, and wait until a report of each has come.

    Args:
        films: Number of films.
        associations: Number of senders at once.
        worker_kills: How many times the worker is killed.
        node_kills: How many times the node is killed.
    """
    archive, acknowledged, began = Archive(), {}, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Path(folder), archive.port)
        senders = [
            threading.Thread(target=_send, args=(node, range(first, films, associations), acknowledged))
            for first in range(associations)
        ]
        for sender in senders:
            sender.start()
        kills: list[Callable[[], None]] = [node.kill_worker] * worker_kills + [node.kill] * node_kills
        for number, kill in enumerate(kills, 1):
            due = films * number // (len(kills) + 1)
            _wait(lambda due=due: len(archive.reports) >= due)
            kill()
        for sender in senders:
            sender.join()
        _wait(lambda: len(archive.arrived) >= films)
        seconds = max(archive.arrived.values()) - began
        node.stop()
    archive.stop()
    waits = sorted(archive.arrived[study] - at for study, at in acknowledged.items())
    return Outcome(
        films,
        len(acknowledged),
        len(archive.arrived),
        len(archive.reports),
        sum(count > 1 for count in archive.reports.values()),
        worker_kills,
        node_kills,
        round(seconds, 1),
        round(films / seconds, 2),
        round(statistics.median(waits), 1),
        round(waits[int(0.95 * len(waits))], 1),
    )


def _send(node: Node, numbers: range, acknowledged: dict[str, float]) -> None:
    """Send films in one association; after a failure open the next one and send the film again."""
    entity = AE("SENDER")
    entity.add_requested_context(DigitalXRayImageStorageForPresentation)
    association: Any = None
    for _ in numbers:
        film = pydicom.dcmread(io.BytesIO(_film()))
        while film.StudyInstanceUID not in acknowledged:
            if association is None or not association.is_established:
                association = entity.associate("127.0.0.1", node.port, ae_title="KNEEOA")
            if association.is_established and association.send_c_store(film).get("Status") == ACKNOWLEDGED:
                acknowledged[str(film.StudyInstanceUID)] = time.monotonic()
            elif not association.is_established:
                time.sleep(0.5)
    if association:
        association.release()


def _film() -> bytes:
    names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    return dicom(PIXELS, ImageLaterality="R", StudyDate="20200101", **{name: generate_uid() for name in names})


def _wait(happened: Callable[[], Any], seconds: float = 3600) -> Any:
    end = time.monotonic() + seconds
    while not (answer := happened()):
        assert time.monotonic() < end, "the node does not go on"
        time.sleep(0.1)
    return answer


def main() -> None:
    """Measure, print the outcome, and fail where a film has no report or two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=1000)
    parser.add_argument("--associations", type=int, default=8)
    parser.add_argument("--worker-kills", type=int, default=2)
    parser.add_argument("--node-kills", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the outcome to this file")
    given = parser.parse_args()
    outcome = measure(given.films, given.associations, given.worker_kills, given.node_kills)
    text = json.dumps(asdict(outcome), indent=1) + "\n"
    print(text)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(text, "utf-8")
    if not outcome.films == outcome.acknowledged == outcome.studies == outcome.reports:
        sys.exit("a film has no report, or two")


if __name__ == "__main__":
    main()

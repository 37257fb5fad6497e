"""The Flask app under load is compared with the same grader in process and with an app as of 2023.

    python -m benchmarks.load --out docs/evidence/flask/load.json
        takes about six minutes on a machine with two idle cores
    python -m benchmarks.load --requests 20000 --out docs/evidence/flask/memory.json
        measures the server's memory over this many requests instead; the cores may be busy
    python -m benchmarks.load --requests 400 --large --out docs/evidence/flask/memory-large.json
        does the same with the large film

The server, and the grader in process, run on the first core, the clients on the second. Each kind of film is measured
by itself. The app of 2023 is Flask's own server with Keras's `load_model` and `predict`. It gets only the
small film, because it does not read DICOM.
"""

import argparse
import io
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from kneeoa_hub.imaging.phantom import knee_film

from .measuring import BUNDLE, ROOT, write_json
from .processes import family, megabytes, peak_megabytes

SERVER_CORE, CALLER_CORE = 0, 1
BOUNDARY = "kneeoa-load"
SMALL, LARGE = "224-pixel PNG", "2000x2500 16-bit DICOM"
APP = [sys.executable, "-m", "flask_app", "--port", "0", "--threads", "1"]
IN_PROCESS = """
import sys, time
import kneeoa_hub
film = sys.stdin.buffer.read()
grader = kneeoa_hub.from_pretrained(threads=1)
assert grader.grade(film).knees
count, start = 0, time.perf_counter()
while time.perf_counter() - start < float(sys.argv[1]):
    grader.grade(film)
    count += 1
print(count / (time.perf_counter() - start))
"""
OLD_WAY = """
import sys
import keras
import numpy as np
from flask import Flask, request
from PIL import Image
app = Flask(__name__)
model = keras.saving.load_model(sys.argv[1], compile=False, safe_mode=True)
height, width = model.input_shape[1:3]

@app.post("/api/v1/grade")
def grade():
    film = np.asarray(Image.open(request.files["film"]).convert("L").resize((width, height)), "float32")
    image = (film - film.mean()) / film.std()
    return {"grade": int(model.predict(image[None, ..., None], verbose=0)["probabilities"].argmax())}

from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, app, threaded=True)
print(f"http://127.0.0.1:{server.port}/", flush=True)
server.serve_forever()
"""


@dataclass(frozen=True)
class Load:
    """Clients measure this with one kind of film.

    Attributes:
        films: Number of answers.
        errors: Number of answers that are not a report.
        rate: Films per second.
        median: Milliseconds of an answer.
        p99: 99th percentile of the milliseconds.
    """

    films: int
    errors: int
    rate: float
    median: float
    p99: float


def films() -> dict[str, bytes]:
    """Return a knee as a small PNG, as in teaching sets, and as a large DICOM file, as in an archive."""
    small = Image.fromarray(knee_film(2, 7).pixels).convert("L").resize((224, 224), Image.Resampling.BICUBIC)
    png = io.BytesIO()
    small.save(png, "PNG")
    large = np.asarray(
        Image.fromarray(knee_film(2, 7, bits=16).pixels.astype(np.float32)).resize(
            (2000, 2500), Image.Resampling.BICUBIC
        )
    )
    noisy = large + np.random.default_rng(0).normal(0, 40, large.shape)
    return {SMALL: png.getvalue(), LARGE: dicom(np.clip(noisy, 0, 65535).astype(np.uint16))}


def dicom(pixels: np.ndarray) -> bytes:
    """Return a film [H,W] uint16 as an uncompressed DICOM file."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID = DigitalXRayImageStorageForPresentation
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID = generate_uid()
    film.Modality, film.PhotometricInterpretation, film.SamplesPerPixel = "DX", "MONOCHROME2", 1
    film.Rows, film.Columns = pixels.shape
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, 16, 15, 0
    film.PixelData = pixels.tobytes()
    film["PixelData"].VR = "OW"
    content = io.BytesIO()
    film.save_as(content, enforce_file_format=True)
    return content.getvalue()


def _pinned(core: int) -> Callable[[], None]:
    return lambda: os.sched_setaffinity(0, {core})


def _environ() -> dict[str, str]:
    return os.environ | {"KNEEOA_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}


def in_process(film: bytes, seconds: float) -> float:
    """Return the films per second of a loop around `grader.grade`, on the server's core."""
    command = [sys.executable, "-c", IN_PROCESS, str(seconds)]
    done = subprocess.run(
        command,
        input=film,
        cwd=ROOT,
        env=_environ(),
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=_pinned(SERVER_CORE),
    )
    return float(done.stdout)


@contextmanager
def serving(command: list[str]) -> Iterator[tuple[str, int]]:
    """Start a server on its core; yields the host:port that it prints, and its process number."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=_pinned(SERVER_CORE),
    )
    try:
        assert process.stdout
        found = re.search(r"http://([^ /]+)", process.stdout.readline())
        if not found:
            raise SystemExit(f"{' '.join(command)[:80]} did not start")
        yield found[1], process.pid
    finally:
        process.terminate()
        process.wait(60)


def ask(connection: socket.socket, request: bytes) -> tuple[int, bool]:
    """Send a request; returns the status of the answer, and whether the server closes the connection after it.

    Raises OSError when the connection breaks.
    """
    connection.sendall(request)
    answer = connection.makefile("rb")
    status = answer.readline().split()
    if not status:
        raise ConnectionResetError
    length, last = 0, status[0] == b"HTTP/1.0"
    while (line := answer.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        last |= name.lower() == b"connection" and value.strip().lower() == b"close"
    if len(answer.read(length)) != length:
        raise ConnectionResetError
    return int(status[1]), last


def _request(address: str, film: bytes) -> bytes:
    """Return an HTTP request with a form that holds the film."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="film"; filename="film"\r\nContent-Type:'
        " application/octet-stream\r\n\r\n"
    )
    body = head.encode() + film + f"\r\n--{BOUNDARY}--\r\n".encode()
    start_line = f"POST /api/v1/grade HTTP/1.1\r\nHost: {address}\r\n"
    headers = f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(body)}\r\n\r\n"
    return (start_line + headers).encode() + body


def drive(address: str, film: bytes, clients: int, seconds: float, most: int = 0) -> Load:
    """Let clients send a film again as soon as it is answered; returns what they measure.

    Args:
        address: host:port of the server.
        film: The film.
        clients: Number of clients.
        seconds: After which they end.
        most: Requests after which they end; 0 for no limit.
    """
    request = _request(address, film)
    host, _, port = address.partition(":")
    taken: list[float] = []
    errors: list[int] = []

    def client() -> None:
        connection = socket.create_connection((host, int(port)), timeout=120)
        while time.perf_counter() < end and not (most and len(taken) >= most):
            start = time.perf_counter()
            try:
                status, last = ask(connection, request)
            except OSError:
                status, last = 0, True
            if last:
                connection.close()
                connection = socket.create_connection((host, int(port)), timeout=120)
            taken.append(time.perf_counter() - start)
            if status != 200:
                errors.append(status)
        connection.close()

    with socket.create_connection((host, int(port)), timeout=120) as connection:
        assert ask(connection, request)[0] == 200  # the first answer waits for the model
    threads = [threading.Thread(target=client) for _ in range(clients)]
    start = time.perf_counter()
    end = start + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = time.perf_counter() - start
    milliseconds = [1000 * one for one in taken]
    p99 = statistics.quantiles(milliseconds, n=100)[98]
    return Load(len(taken), len(errors), len(taken) / whole, statistics.median(milliseconds), p99)


def resident(pid: int) -> float:
    """Return the megabytes of a process and those that it started: Linux's proportional set size."""
    return sum(map(megabytes, family(pid)))


def main() -> None:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="seconds of each run (default 60)")
    parser.add_argument("--clients", type=int, default=16, help="clients at once (default 16)")
    parser.add_argument(
        "--requests", type=int, default=0, help="measure the memory over this many requests instead (default 0: do not)"
    )
    parser.add_argument("--large", action="store_true", help="with --requests: send the large film")
    parser.add_argument("--out", type=Path, help="write the figures as JSON to this file")
    given = parser.parse_args()
    os.sched_setaffinity(0, {CALLER_CORE})
    figures = (
        memory(given.clients, given.requests, LARGE if given.large else SMALL)
        if given.requests
        else load(given.clients, given.seconds)
    )
    if given.out:
        write_json(given.out, figures)


def memory(clients: int, requests: int, kind: str) -> dict[str, object]:
    """Return the megabytes of the server after each tenth of the requests, and the peak of its worker.

    Args:
        clients: Number of clients.
        requests: Number of requests of all clients together.
        kind: Kind of the film that they send, see `films`.
    """
    film = films()[kind]
    after: list[float] = []
    errors = 0
    with serving(APP) as (address, pid):
        for part in range(10):
            errors += drive(address, film, clients, float("inf"), requests // 10).errors
            after.append(resident(pid))
            print(f"after {(part + 1) * requests // 10} requests {after[-1]:.0f} MB", flush=True)
        most = max(map(peak_megabytes, family(pid)))
    print(f"at most {most:.0f} MB")
    return {"film": kind, "requests": requests, "clients": clients, "errors": errors, "memory": after, "peak": most}


def load(clients: int, seconds: float) -> dict[str, object]:
    """Return the figures of each kind of film, and those of the app of 2023.

    "load_average_before" and "load_average_after" are those of the machine over a minute; they include this benchmark.
    """
    figures: dict[str, object] = {
        "clients": clients,
        "seconds": seconds,
        "cores": os.cpu_count(),
        "load_average_before": os.getloadavg()[0],
    }
    for kind, film in films().items():
        alone = in_process(film, seconds)
        with serving(APP) as (address, pid):
            now = drive(address, film, clients, seconds)
            figures[kind] = asdict(now) | {
                "in_process": alone,
                "share": now.rate / alone,
                "p99_over_median": now.p99 / now.median,
                "memory": resident(pid),
            }
        print(
            f"{kind}: {now.rate:.1f} films per second over HTTP, {alone:.1f} in process ({now.rate / alone:.0%});"
            f" {now.errors} errors of {now.films}"
        )
        print(f"  median {now.median:.0f} ms, p99 {now.p99:.0f} ms ({now.p99 / now.median:.1f} times)", flush=True)
    small = films()[SMALL]
    with serving([sys.executable, "-c", OLD_WAY, str(BUNDLE)]) as (
        address,
        pid,
    ):
        old = drive(address, small, clients, seconds)
        figures["2023"] = asdict(old) | {"memory": resident(pid)}
    ratio = figures[SMALL]["rate"] / old.rate  # type: ignore[index]
    print(
        f"Flask, load_model, predict: {old.rate:.1f} films per second, {figures['2023']['memory']:.0f} MB: now"
        f" {ratio:.1f} times as many"
    )
    return figures | {"ratio_to_2023": ratio, "load_average_after": os.getloadavg()[0]}


if __name__ == "__main__":
    main()

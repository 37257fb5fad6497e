"""Bodies and responses of any size at any speed: slow clients keep neither memory nor threads from others."""

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

import flask_app.bodies
import flask_app.bridge
import flask_app.source
from flask_app.bodies import Bodies
from flask_app.metrics import Metrics
from flask_app.turns import Busy

from ..support.flask_serving import connected, cut, faults, ready, serving
from ..support.waiting import until


def stalled(where: str, size: int) -> socket.socket:
    """A client that announces a body of the largest size, sends what the server takes at once, and then stops."""
    connection = connected(where)
    head = (
        "POST /api/v1/grade HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length:"
        f" {128 * 2**20}\r\n\r\n"
    )
    connection.sendall(head.encode())
    connection.setblocking(False)
    with suppress(BlockingIOError):
        sent = 0
        while sent < size:
            sent += connection.send(bytes(2**20))
            time.sleep(0.01)
    return connection


def test_large_stalled_bodies_block_no_other_client(films: dict[str, Path]):
    small = films["mild"].read_bytes()
    large = small + bytes(10 * 2**20)  # bytes after the end of a PNG are ignored
    with serving() as (where, _):
        ready(where)
        held = [stalled(where, 40 * 2**20) for _ in range(3)]
        for film in (small, large):
            assert requests.post(f"{where}/api/v1/grade", files={"film": film}, timeout=60).status_code == 200
        for connection in held:
            connection.close()


@contextmanager
def one_held(patience: float) -> Iterator[tuple[Callable[..., None], dict[str, int], Metrics]]:
    """While a body that fills the room for all is under way: what sends another, the bytes that were read of each by
    name, and the metrics.
    """
    metrics, begun, release, sizes = Metrics(), threading.Event(), threading.Event(), {}

    def app(environ, start_response):
        name, stream = environ["name"], environ["wsgi.input"]
        sizes[name] = 0
        while content := stream.read(100):
            sizes[name] += len(content)
        begun.set()
        if name == "eldest":
            assert release.wait(60)
        return [b""]

    bodies = Bodies(app, metrics, room=1000, patience=patience)

    def send(name: str, size: int, length: str = "") -> None:
        bodies(
            {"name": name, "wsgi.input": io.BytesIO(bytes(size)), "CONTENT_LENGTH": length}, lambda *_: lambda _: None
        )

    eldest = threading.Thread(target=send, args=("eldest", 3000))
    eldest.start()
    assert begun.wait(60)
    yield send, sizes, metrics
    release.set()
    eldest.join(60)


def test_over_a_limit_only_bodies_declared_small_are_received_beside_the_oldest():
    with one_held(patience=0.2) as (send, sizes, metrics):
        send("small", 500, "500")
        with pytest.raises(Busy):
            send("another", 500)
    assert sizes == {"eldest": 3000, "small": 500, "another": 0}
    assert metrics.registry.get_sample_value("kneeoa_turned_away_total") == 1


def test_a_body_waits_for_the_oldest_and_is_then_received():
    with one_held(patience=300) as (send, sizes, metrics):
        patient = threading.Thread(target=send, args=("patient", 500))
        patient.start()
        until(lambda: "patient" in sizes)
        assert sizes["patient"] == 0
    patient.join(60)
    assert sizes == {"eldest": 3000, "patient": 500}
    assert metrics.registry.get_sample_value("kneeoa_turned_away_total") == 0


def test_a_slow_body_is_rejected_while_others_wait(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flask_app.bodies, "LOOK_SECONDS", 0.1)
    metrics, begun = Metrics(), threading.Event()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            time.sleep(0.05)
            begun.set()
            return super().read(size)

    def app(environ, start_response):
        while environ["wsgi.input"].read(1000):
            pass
        return [b""]

    bodies, ends = Bodies(app, metrics, room=500), []

    def send(stream: io.BytesIO) -> None:
        try:
            bodies({"wsgi.input": stream}, lambda *_: lambda _: None)
            ends.append("read")
        except Busy:
            ends.append("turned away")

    alone = Slow(bytes(5000))
    send(alone)  # no other client waits for it
    assert ends == ["read"]
    begun.clear()
    slow = threading.Thread(target=send, args=(Slow(bytes(1_000_000)),))
    slow.start()
    assert begun.wait(30)
    send(io.BytesIO(bytes(800)))
    slow.join(30)
    assert ends[1:] == ["turned away", "read"]


def test_a_body_that_still_arrives_long_after_a_stop_gets_retry_after():
    soon = "import runpy, flask_app.bodies as b; b.STOP_SECONDS = 1; runpy.run_module('flask_app', run_name='__main__')"
    with serving(code=soon) as (where, process):
        ready(where)
        with connected(where) as connection:
            connection.sendall(
                b"POST /api/v1/grade HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length:"
                b" 1000000\r\n\r\n"
            )
            connection.settimeout(0.2)
            answer, end = b"", time.monotonic() + 15
            while not answer and time.monotonic() < end:
                connection.sendall(bytes(20_000))
                if process.poll() is None:
                    process.terminate()
                with suppress(TimeoutError):
                    answer = connection.recv(4096)
            # the body may come after the head
            while more := connection.recv(4096) if not answer.endswith(b"}") else b"":
                answer += more
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 5" in answer.lower()
        assert b"being stopped" in answer
        assert process.wait(30) == 0


def test_a_client_that_sends_without_end_is_disconnected(films: dict[str, Path], tmp_path: Path):
    """Sent in chunks, so that no length is known in advance."""
    head = b"POST /api/v1/grade HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(log=tmp_path / "log", KNEEOA_MAX_BYTES="1000000") as (where, _):
        with connected(where) as connection:
            sent = 0
            try:
                connection.sendall(head)
                while sent < 200_000_000:
                    connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                    sent += 0x10000
            except OSError:
                pass
        assert sent < 50_000_000
    assert faults(tmp_path / "log") == []


def test_a_response_that_nobody_reads_frees_its_thread():
    """More clients than threads for pages request page after page and read no response."""
    soon = (
        "import runpy, flask_app.connections as c; c.SEND_SECONDS=1; runpy.run_module('flask_app', run_name='__main__')"
    )
    with serving(code=soon) as (where, _):
        ready(where)
        held = [connected(where) for _ in range(2 * flask_app.bridge.LIGHT_THREADS)]
        for connection in held:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setblocking(False)
            with suppress(BlockingIOError, ConnectionError):  # its room is full, or the server has cut it already
                for _ in range(100_000):
                    connection.send(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: cut(held) >= flask_app.bridge.LIGHT_THREADS)  # so many threads had to wait
        assert requests.get(f"{where}/about", timeout=60).status_code == 200
        for connection in held:
            connection.close()

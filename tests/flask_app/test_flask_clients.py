"""The running server with clients that are slow, many, vanished or no clients of HTTP at all.

Nobody else waits for them.
"""

import json
import random
import re
import select
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import requests
from PIL import Image

from ..support.flask_requests import Visitor
from ..support.flask_serving import ACCEPT_JSON, connected, faults, graded, ready, serving, slowest, workers
from ..support.pictures import file


def test_clients_that_send_slowly_or_nothing_do_not_keep_others_out(films: dict[str, Path], tmp_path: Path):
    beginnings = (
        b"",
        b"POST /api/v1/grade HT",
        b"POST /api/v1/grade HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nContent-Type: image/png\r\n\r\nabc",
    )
    with serving(log=tmp_path / "log") as (address, _):
        ready(address)
        held = [connected(address) for _ in range(120)]  # of each kind more than there are threads
        for number, connection in enumerate(held):
            connection.sendall(beginnings[number % len(beginnings)])
        assert slowest(address) < 8  # the server drops them after ten seconds
        report = graded(address, films["mild"].read_bytes())
        assert report
        assert len(report["knees"]) == 1
        for number, connection in enumerate(held):
            connection.settimeout(30)
            left = connection.recv(4096)  # each is disconnected, with a 400 where its head was parsed
            assert left.startswith(b"HTTP/1.1 400 ") if number % len(beginnings) == 2 else not left
            connection.close()
    assert faults(tmp_path / "log") == []


def test_clients_that_keep_an_answered_connection_open_do_not_keep_others_out():
    with serving() as (address, _):
        ready(address)
        held = [connected(address) for _ in range(200)]
        for connection in held:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert slowest(address) < 20
        for connection in held:
            connection.settimeout(30)
            assert connection.makefile("rb").read().endswith(b'{"status":"live"}\n')
            connection.close()


def test_more_connections_than_are_held_make_room_for_each_other(films: dict[str, Path]):
    with serving() as (address, process):
        ready(address)
        (worker,) = workers(process)
        held = [connected(address) for _ in range(600)]
        assert slowest(address) < 8
        assert workers(process) == [worker]
        for connection in held:
            connection.close()


def test_more_requests_than_may_wait_for_their_body_get_retry_after():
    """Each is complete and nothing follows it, so that no request can be dropped as unfinished."""
    head = (
        b"POST /api/v1/grade HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n"
    )
    with serving() as (address, process):
        ready(address)
        (worker,) = workers(process)
        held = []
        for _ in range(620):
            held.append(connected(address))
            held[-1].sendall(head)
        assert slowest(address) < 60  # it waits twice as long for a body
        rejected = held[300]
        rejected.settimeout(30)
        answer = rejected.makefile("rb").read().decode()
        assert answer.startswith("HTTP/1.1 503 ")
        assert "retry-after: 5" in answer.lower()
        assert json.loads(answer.partition("\r\n\r\n")[2])["type"] == "urn:kneeoa:error:busy"
        assert (
            float(re.findall(r"kneeoa_turned_away_total (\d+)", requests.get(f"{address}/metrics", timeout=60).text)[0])
            >= 400
        )
        assert workers(process) == [worker]
        for connection in held:
            connection.close()


def test_documents_that_are_long_to_make_keep_neither_pages_nor_health_waiting():
    """Six clients at once ask for the PDF of twelve noisy films, which compress badly."""
    noise = file(
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (1000, 1000), dtype=np.uint8)), "JPEG", quality=40
    )
    with serving() as (address, process), ThreadPoolExecutor(6) as pool:
        ready(address)
        (worker,) = workers(process)
        place = Visitor(address).submit("/", files=[("film", noise)] * 12, headers=ACCEPT_JSON).json()["result"]
        page = requests.get(f"{address}{place}", timeout=60)
        assert len(page.content) < 200_000
        documents = [pool.submit(requests.get, f"{address}{place}/report.pdf", timeout=120) for _ in range(6)]
        assert requests.get(f"{address}/health/live", timeout=60).status_code == 200
        assert not all(document.done() for document in documents)
        assert {document.result().status_code for document in documents} <= {200, 503}
        assert sum(document.result().status_code == 200 for document in documents) >= 2
        peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{worker}/status").read_text())
        assert peak
        assert int(peak[1]) < 450_000


def test_clients_that_go_away_while_they_send_leave_nothing_behind(films: dict[str, Path], tmp_path: Path):
    with serving(log=tmp_path / "log", TMPDIR=str(tmp_path)) as (address, process):
        ready(address)
        for _ in range(50):
            with connected(address) as connection:
                connection.sendall(
                    b"POST /api/v1/grade HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\nContent-Type:"
                    b" image/png\r\n\r\n" + bytes(300_000)
                )
        assert graded(address, films["mild"].read_bytes())
        (worker,) = workers(process)
        assert len(list(Path(f"/proc/{worker}/fd").iterdir())) < 60
    assert [path for path in tmp_path.iterdir() if path.name != "log" and path.is_file()] == []
    assert faults(tmp_path / "log") == []


def test_ten_thousand_malformed_requests_change_nothing(films: dict[str, Path], tmp_path: Path):
    draw = random.Random(1)
    heads = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/v1/grade HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Type: image/png\r\n\r\nabcd",
    ]
    with serving(log=tmp_path / "log") as (address, process):
        ready(address)
        (worker,) = workers(process)
        statuses: Counter[bytes] = Counter()

        def send(content: bytes) -> bytes:
            with connected(address) as connection:
                try:
                    connection.sendall(content)
                    connection.shutdown(socket.SHUT_WR)
                    return connection.recv(64)[9:12]
                except OSError:
                    return b"cut"

        def malformed(_: int) -> bytes:
            content = bytearray(draw.choice(heads))
            for _ in range(draw.randint(1, 8)):
                place = draw.randrange(len(content))
                content[place : place + draw.randint(0, 3)] = draw.randbytes(draw.randint(0, 40))
            return bytes(content)

        with ThreadPoolExecutor(8) as pool:
            statuses.update(pool.map(send, map(malformed, range(10_000))))
        assert sum(statuses.values()) == 10_000
        assert not {status for status in statuses if status.startswith(b"5")}, statuses
        assert statuses[b"400"] > 1000
        assert workers(process) == [worker]
        assert graded(address, films["mild"].read_bytes())
    assert faults(tmp_path / "log") == []


def test_a_client_rejected_during_shutdown_can_read_the_reason():
    """A connection that is reset while its client still sends loses the response, so a stop waits for a moment."""
    with serving() as (address, process):
        ready(address)
        with connected(address) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 66_000)
            select.select([connection], [], [], 60)  # until the response has begun to arrive
            process.terminate()
            for _ in range(10):
                time.sleep(0.1)
                connection.sendall(b"x" * 1000)
            assert connection.recv(4096).startswith(b"HTTP/1.1 431 ")
        assert process.wait(30) == 0

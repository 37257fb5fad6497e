"""A client that is silent, slow, huge or malformed keeps no other from its place, and no film from its answer."""

import io
import socket
import ssl
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace

import pytest
from pydicom.uid import DigitalXRayImageStorageForPresentation as FILM
from pydicom.uid import generate_uid
from pynetdicom.dimse_messages import C_STORE_RQ  # pyright: ignore[reportAttributeAccessIssue]  # made at import
from pynetdicom.dimse_primitives import C_STORE

from flask_app.node import arrive, listen

from ...support.certificates import self_signed
from ...support.node_queue import calling, film, receiving, sent

PDU_HEADER = 6
MEBIBYTE = 2**20
PIECE = 2**16


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Peers that send nothing are given up soon."""
    monkeypatch.setattr(listen, "GREETING_SECONDS", 0.3)


def connected(stack: ExitStack, port: int, content: bytes = b"") -> socket.socket:
    """A connection that has sent some bytes and then stays silent."""
    made = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
    made.sendall(content)
    return made


def silent(association) -> socket.socket:
    """The connection of an association, whose reactor sends and receives nothing from now on."""
    association.network_timeout = None
    return association.dul.socket.socket


def test_a_client_that_never_shakes_hands_keeps_no_other_from_an_association(queue, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(listen, "GREETING_SECONDS", 10)
    certificate, key = self_signed(tmp_path)
    secured = replace(settings, tls_cert=str(certificate), tls_key=str(key))
    context = ssl.create_default_context(cafile=str(certificate))
    with receiving(queue, secured) as port, ExitStack() as stack:
        for part in (b"", b"\x16\x03\x01"):  # nothing, and the start of a handshake
            connected(stack, port, part)
        with calling(port, tls_args=(context, "127.0.0.1")) as association:
            assert association.send_c_echo().Status == 0x0000


@pytest.mark.parametrize(
    "part", [b"", b"\1\0\0", struct.pack(">BBL", 1, 0, 2**31)], ids=["nothing", "3 bytes", "2 GiB"]
)
def test_a_connection_without_a_request_is_closed_and_takes_no_place(queue, settings, part):
    with receiving(queue, replace(settings, associations=1)) as port, ExitStack() as stack:
        waits = [connected(stack, port, part) for _ in range(3)]
        with calling(port) as association:
            assert association.send_c_echo().Status == 0x0000
        for one in waits:
            assert one.recv(1) == b""


def test_an_idle_association_gives_its_place_to_the_next_one(queue, settings, monkeypatch):
    monkeypatch.setattr(listen, "IDLE_SECONDS", 0)
    with (
        receiving(queue, replace(settings, associations=1)) as port,
        calling(port) as idle,
        calling(port) as association,
    ):
        assert sent(association, film()) == 0x0000
        idle.join(5)
        assert not idle.is_established


@pytest.mark.parametrize("body", [b"\0", b""])
def test_a_pdu_that_does_not_come_whole_ends_its_association(queue, settings, body):
    with receiving(queue, replace(settings, associations=1, timeout=1)) as port:
        with calling(port) as slow:
            silent(slow).sendall(struct.pack(">BBL", 4, 0, 100)[: PDU_HEADER - 1 + len(body)] + body)
            slow.join(5)
            assert slow.is_aborted
        with calling(port) as association:
            assert association


def test_an_association_that_brings_no_film_ends_whatever_else_it_sends(queue, settings, monkeypatch):
    with receiving(queue, settings) as port, calling(port) as association:
        assert association.send_c_echo().Status == 0x0000
        monkeypatch.setattr(listen, "FILM_TIMEOUTS", 0)
        association.send_c_echo()
        association.join(5)
        assert association.is_aborted


def pieces(association, size: int) -> Iterator[bytes]:
    """The PDUs of a C-STORE whose data set has so many mebibytes of zeros, without holding them."""
    (context,) = (one for one in association.accepted_contexts if one.abstract_syntax == FILM)
    request = C_STORE()
    request.MessageID, request.Priority, request.DataSet = 1, 2, io.BytesIO(b"unused")
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = FILM, generate_uid()
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    command = next(iter(message.encode_msg(context.context_id, 0))).presentation_data_value_list[0][1]
    for value in (command, *[bytes(PIECE)] * (size * MEBIBYTE // PIECE), b"\2\0\0"):
        item = struct.pack(">LB", len(value) + 1, context.context_id) + value
        yield struct.pack(">BBL", 4, 0, len(item)) + item


@pytest.mark.parametrize(("limit", "status"), [(10, 0xC000), (100, 0xC000), (1000, 0xA700)])
def test_a_film_that_comes_fills_no_memory(queue, settings, monkeypatch, limit, status):
    if status == 0xA700:
        monkeypatch.setattr(arrive, "RESERVE_BYTES", 10**18)
    with receiving(queue, settings, limit * MEBIBYTE) as port, calling(port) as association:
        association._reactor_checkpoint.clear()
        *most, last = pieces(association, 30)
        tracemalloc.start()
        for piece in most:
            association.dul.socket.socket.sendall(piece)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        association.dul.socket.socket.sendall(last)
        _, answer = association.dimse.get_msg(block=True)
        assert answer.Status == status
        assert peak < 8 * MEBIBYTE
        association._reactor_checkpoint.set()
        assert sent(association, film()) == (0xA700 if status == 0xA700 else 0x0000)


@pytest.mark.parametrize(
    "values",
    [
        [b"\1" + bytes(70_000)],  # a command without an end
        [b"\3" + bytes(20)],  # no command
        [b"\2film"],  # a film without a command
        [b""],
    ],
)
def test_a_malformed_message_ends_its_association_alone(queue, settings, values, capsys):
    with receiving(queue, settings) as port, calling(port) as other:
        with calling(port) as association:
            for value in values:
                item = struct.pack(">LB", len(value) + 1, 1) + value
                association.dul.socket.socket.sendall(struct.pack(">BBL", 4, 0, len(item)) + item)
            association.join(5)
            assert association.is_aborted
        assert sent(other, film()) == 0x0000
    assert "Traceback" not in capsys.readouterr().err


def test_messages_before_the_answer_to_the_one_before_end_the_association(queue, settings):
    with receiving(queue, settings) as port, calling(port) as association:
        connection = silent(association)
        with queue.transaction(), suppress(OSError):  # the queue can't take the first film yet
            for _ in range(4):
                for piece in pieces(association, 1):
                    connection.sendall(piece)
        association.join(5)
        assert association.is_aborted

"""Studies of an archive over DICOMweb: lists in pages, films within a bound, and a token for one host."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pydicom
import pytest

from kneeoa_hub.archive import dicomweb
from kneeoa_hub.archive.dicomweb import Service
from kneeoa_hub.cli import main
from kneeoa_hub.errors import ArchiveError

from ..support.dicom_films import study

STUDY = "1.2.840.99"
HEADERS: tuple[dict[str, Any], ...] = ({}, {"ImageLaterality": "L"}, {"ViewPosition": "LATERAL"})
FILMS = {
    f"1.2.3.{number}": study(
        StudyInstanceUID=STUDY, SeriesInstanceUID="1.2.3", SOPInstanceUID=f"1.2.3.{number}", **header
    )
    for number, header in enumerate(HEADERS, 1)
}


class Archive(BaseHTTPRequestHandler):
    """A DICOMweb service that lists two objects of a study at a time."""

    server: Any

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        address = urlsplit(self.path)
        film = address.path.rpartition("/")[2]
        if to := self.server.moved:
            self._answer(302, b"", Location=f"{to}{self.path}")
        elif film == "instances":
            first = int(parse_qs(address.query).get("offset", ["0"])[0]) if self.server.knows_offset else 0
            listed = [_json(one) for one in FILMS.values()][first : first + 2]
            self._answer(200, json.dumps(listed).encode(), **{"Content-Type": "application/dicom+json"})
        elif film in self.server.broken:
            self._answer(500, b"<html>", **{"Content-Type": "text/html"})
        else:
            part = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + FILMS[film] + b"\r\n--x--"
            self._answer(200, part, **{"Content-Type": 'multipart/related; type="application/dicom"; boundary="x"'})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def _answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Served(ThreadingHTTPServer):
    """The service on this machine, with the path and the token of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Archive)
        self.asked: list[tuple[str, str]] = []
        self.broken: set[str] = set()
        self.moved, self.knows_offset = "", True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/rs"


@pytest.fixture
def archive() -> Iterator[Served]:
    with Served() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def _json(film: bytes) -> dict:
    return pydicom.dcmread(io.BytesIO(film), stop_before_pixels=True).to_json_dict()


def instances(service: Service) -> list[str]:
    return [film.instance for film in service.films(STUDY)]


def test_a_list_in_pages_is_read_to_its_end(archive, monkeypatch):
    frontal = list(FILMS)[:2]
    monkeypatch.setattr(dicomweb, "may_be_knee", lambda header: True)
    assert instances(Service(archive.url)) == list(FILMS)
    archive.knows_offset = False  # it gives the first page again and again
    assert instances(Service(archive.url)) == frontal
    archive.knows_offset = True
    monkeypatch.setattr(dicomweb, "MOST_PAGES", 1)
    with pytest.raises(ArchiveError, match="more objects"):
        instances(Service(archive.url))


def test_a_film_comes_as_the_archive_has_it_and_one_that_is_too_large_is_not_read(archive):
    first, *_ = Service(archive.url).films(STUDY)
    assert Service(archive.url).fetch(STUDY, first) == FILMS[first.instance]
    small = Service(archive.url, max_bytes=1 - dicomweb.ROOM_BYTES)
    with pytest.raises(ArchiveError, match="has over 1 bytes"):
        small.fetch(STUDY, first)


def test_the_token_goes_to_the_archive_and_to_no_host_that_it_names(archive):
    assert instances(Service(archive.url, "secret"))
    assert {token for _, token in archive.asked} == {"Bearer secret"}
    with Served() as other:
        threading.Thread(target=other.serve_forever, args=(0.02,), daemon=True).start()
        archive.moved = other.url
        for ask in (lambda service: service.films(STUDY), lambda service: service.store(FILMS["1.2.3.1"])):
            with pytest.raises(ArchiveError, match="redirect"):
                ask(Service(archive.url, "secret"))
        other.shutdown()
        assert other.asked == []


def test_a_film_that_does_not_come_is_a_row_with_its_error_and_the_others_are_graded(archive, capsys, monkeypatch):
    archive.broken = {"1.2.3.1"}
    command = ["grade", "--study", f"{archive.url}/studies/{STUDY}", "--json"]
    assert main(command) == 1
    answer, fault = map(json.loads, capsys.readouterr().out.splitlines())
    assert [knee["side"] for knee in answer["report"]["knees"]] == ["left"]
    assert (fault["film"], fault["error"]["code"]) == ("1.2.3.1", "archive-unreachable")
    archive.broken = {"1.2.3.1", "1.2.3.2"}
    monkeypatch.setattr(dicomweb, "may_be_knee", lambda header: True)
    forced = []
    for options in ([], ["--force", "--workers", "2"]):
        assert main([*command, *options]) == 1
        forced.append(len(json.loads(capsys.readouterr().out.splitlines()[0])["report"]["knees"]))
    assert forced == [0, 1]  # the lateral film

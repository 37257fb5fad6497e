"""Finds, fetches and stores DICOM objects over DICOMweb (PS3.18: QIDO-RS, WADO-RS, STOW-RS), by dicomweb-client."""

import io
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

from ..errors import (
    AddressError,
    ArchiveError,
    MissingExtra,
    SettingsError,
)
from ..imaging.dicom_header import FILM_CLASSES, read_statements
from ..imaging.identity import MAKER
from ..imaging.quiet import quiet_logs, quiet_warnings
from ..settings import Settings
from .http import check_authorities, errors, is_host, session

DAY_SECONDS = 86400
UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*")
STUDY = re.compile(
    r"(?:dicomweb|https|(?P<plain>http))://(?P<place>[^/@?#\s]+(?:/[^?#\s]+)?)/studies/(?P<study>[0-9.]+)/?"
)
MOST_FILMS = 50
"""A study of more films is refused. A knee study has a few."""
FIELDS = ("SOPClassUID", "SeriesInstanceUID", "Modality", "BodyPartExamined", "ViewPosition", "Manufacturer")
MOST_OBJECTS, MOST_PAGES = 20_000, 200
"""A study of more objects, or whose list has more pages, is refused."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")
HAS_IT = 0x0111
"""A failure with this reason means that the archive has an object with this UID (PS3.7 annex C)."""
CHUNK_BYTES = 2**30
SLOWEST = 20
"""A response may take 20 times the timeout in all, however steadily its bytes come."""
ROOM_BYTES = 2**20
"""A response may have 1 MB more than the film, for the headers of a multipart message."""
LIST_BYTES = 2**25
"""A response without a film, such as a page of a list, has at most 32 MB."""


@dataclass(frozen=True)
class FoundFilm:
    """Names a film that the archive has.

    Attributes:
        series: Its Series Instance UID.
        instance: Its SOP Instance UID.
    """

    series: str
    instance: str


@dataclass(frozen=True)
class Service:
    """Talks to a DICOMweb service.

    Attributes:
        url: Its address, such as https://archive.example/dicom-web.
        token: A bearer token, or "". It goes to this address alone and into no log.
        timeout: Seconds without progress after which a request is given up.
        authorities: A file with the certificates that sign the service's (PEM); "" uses those of the system.
        max_bytes: Most bytes of a film. A larger one is not read to its end.
    """

    url: str
    token: str = field(default="", repr=False)
    timeout: int = Settings.timeout
    authorities: str = ""
    max_bytes: int = Settings.max_bytes

    def __post_init__(self) -> None:
        """Raise SettingsError for values that cannot be used, and for a token that would travel unencrypted."""
        object.__setattr__(self, "url", self.url.rstrip("/"))
        if not is_host(self.host):
            raise SettingsError("The address of the archive names no host; give one such as https://host/dicom-web.")
        if not 1 <= self.timeout <= DAY_SECONDS:
            raise SettingsError(
                f"The timeout for the archive is {self.timeout} s; give a number from 1 to {DAY_SECONDS}."
            )
        if self.authorities:
            check_authorities(self.authorities)
        if self.token and urlsplit(self.url).scheme == "http" and self.host not in LOOPBACK:
            raise SettingsError(f"The token would travel to {self.host} unencrypted; give an https address.")

    @property
    def host(self) -> str:
        """The host that messages name."""
        return urlsplit(self.url).hostname or ""

    def check(self) -> None:
        """Raise MissingExtra if no request could be made."""
        self._client()

    def films(self, study: str) -> list[FoundFilm]:
        """Find the frontal knee films of a study by their headers (QIDO-RS). A header that says too little passes.

        A service may return a part of the list at a time, so it is asked until it has no more.

        Raises:
            AddressError: `study` is no UID.
            ArchiveUnreachable: The service does not answer, or not to this token.
            ArchiveError: The study is not there, has no such film, more than MOST_FILMS of them, or a list that is too
                long.
        """

        if not UID.fullmatch(study):
            raise AddressError("That is no Study Instance UID; give digits with dots between them, 64 at most.")
        with errors(self.host), quiet_logs(), quiet_warnings():
            found = [
                FoundFilm(str(one.SeriesInstanceUID), str(one.SOPInstanceUID))
                for one in self._listed(study)
                if may_be_knee(one)
            ]
        if not found or len(found) > MOST_FILMS:
            raise ArchiveError(
                f"The archive {self.host} has {len(found)} plain films of that study that may show a knee; give a study"
                f" with 1 to {MOST_FILMS}."
            )
        return found

    def fetch(self, study: str, film: FoundFilm) -> bytes:
        """Return a film as the archive has it, a DICOM file in any transfer syntax (WADO-RS).

        Raises the errors of `films`; ArchiveError also for a film that is much larger than `max_bytes`.
        """
        if not all(map(UID.fullmatch, (study, film.series, film.instance))):
            raise ArchiveError(f"The archive {self.host} names a film by what is no UID; correct it in the archive.")
        address = f"{self.url}/studies/{study}/series/{film.series}/instances/{film.instance}"
        accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        with errors(self.host):
            response = self._session(self.max_bytes + ROOM_BYTES).get(address, headers=accept, timeout=self.timeout)
            response.raise_for_status()
            return _first_part(response.content, response.headers.get("Content-Type", ""))

    def fetch_all(self, study: str, films: Iterable[FoundFilm]) -> Iterator[tuple[FoundFilm, bytes | ArchiveError]]:
        """Yield each film with its file, or with the error that kept it from coming.

        Once the service has been silent for longer than the timeout, it is not asked for the others.
        """
        silent, last = 0.0, ArchiveError("")
        for film in films:
            if silent > self.timeout:
                yield film, last
                continue
            began = time.monotonic()
            try:
                content = self.fetch(study, film)
            except ArchiveError as error:
                silent, last = silent + time.monotonic() - began, error
                yield film, error
            else:
                yield film, content

    def store(self, content: bytes) -> None:
        """Store a DICOM file (STOW-RS).

        Raises:
            ArchiveUnreachable: The service does not answer, or not to this token.
            ArchiveError: The service does not take the object.
        """
        import pydicom

        with errors(self.host), quiet_logs(), quiet_warnings():
            response = self._client().store_instances([pydicom.dcmread(io.BytesIO(content))])
        reasons = [int(one.get("FailureReason") or 0) for one in response.get("FailedSOPSequence") or ()]
        if reasons and reasons != [HAS_IT]:
            raise ArchiveError(
                f"The archive {self.host} does not take the object (reason {reasons[0]:04X}); its log says why."
            )

    def _listed(self, study: str) -> Iterator[Any]:
        """Yield the headers of the objects in a study, each object once, page by page."""
        import pydicom

        client, listed = self._client(), dict[str, None]()
        for _ in range(MOST_PAGES):
            more = {"offset": len(listed)} if listed else {}  # the first request is one that every service knows
            page = client.search_for_instances(study, fields=list(FIELDS), **more)
            headers = {str(one.SOPInstanceUID): one for one in map(pydicom.Dataset.from_json, page)}
            new = [one for name, one in headers.items() if name not in listed]
            if not new:  # also where the service does not know an offset, and gives the first page again
                return
            listed.update(dict.fromkeys(headers))
            if len(listed) > MOST_OBJECTS:
                break
            yield from new
        raise ArchiveError(
            f"The archive {self.host} lists more objects of that study than a study of knee films has; grade its films"
            " as files."
        )

    def _client(self) -> Any:
        try:
            from dicomweb_client.web import DICOMwebClient
        except ImportError:
            raise MissingExtra(
                "DICOMweb needs dicomweb-client; install it with: pip install 'kneeoa-hub[node]'"
            ) from None
        # The client sends what is larger than a chunk from a generator, which is empty when it is sent again.
        client = DICOMwebClient(self.url, self._session(LIST_BYTES), timeout=self.timeout, chunk_size=CHUNK_BYTES)
        client.set_http_retry_params(retry=False)
        return client

    def _session(self, most_bytes: int) -> Any:
        return session(self.token, self.authorities, most_bytes, SLOWEST * self.timeout)


def parse_study(address: str) -> tuple[str, str]:
    """Return the address of the service, and the study's UID.

    `dicomweb://HOST/PATH/studies/UID` is an https address; `http://` and `https://` may be given as they are. Raises
    AddressError.
    """
    parts = STUDY.fullmatch(address)
    if not parts or not UID.fullmatch(parts["study"]):
        raise AddressError("That is no study; give dicomweb://HOST/PATH/studies/UID, or the same with https or http.")
    return f"{'http' if parts['plain'] else 'https'}://{parts['place']}", parts["study"]


def may_be_knee(header: Any) -> bool:
    """Return whether a film may be a frontal one of a knee by what QIDO-RS says of it, and is not our own capture."""
    plain = header.get("SOPClassUID") in FILM_CLASSES and header.get("Manufacturer") != MAKER
    return plain and read_statements(header).ruled_out is None


def _first_part(body: bytes, kind: str) -> bytes:
    """Return the first part of a multipart message (RFC 2046, 5.1). Any other message comes back as it is.

    Args:
        body: The message.
        kind: Its Content-Type, which names what stands between the parts.
    """
    header = Message()
    header["Content-Type"] = kind
    between = header.get_boundary()
    if header.get_content_maintype() != "multipart" or between is None:
        return body
    mark = b"--" + between.encode()
    start = body.index(b"\r\n\r\n", body.index(mark)) + 4
    return body[start : body.index(b"\r\n" + mark, start)]

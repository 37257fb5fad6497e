"""Finds, fetches and stores DICOM objects over DICOMweb (PS3.18: QIDO-RS, WADO-RS, STOW-RS), by dicomweb-client."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import AddressError, ArchiveError, ArchiveUnreachable, KneeOAError, MissingExtra, SettingsError
from ..imaging.dicom_header import FILM_CLASSES, read_statements
from ..imaging.identity import MAKER
from ..imaging.quiet import quiet_logs, quiet_warnings

TIMEOUT_SECONDS = 30
UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*")
STUDY = re.compile(
    r"(?:dicomweb|https|(?P<plain>http))://(?P<place>[^/@?#\s]+(?:/[^?#\s]+)?)/studies/(?P<study>[0-9.]+)/?"
)
MOST_FILMS = 50
"""A study of more films is refused: a knee study has a few."""
FIELDS = ("SOPClassUID", "SeriesInstanceUID", "Modality", "BodyPartExamined", "ViewPosition", "Manufacturer")
TRIES, RETRY_MILLISECONDS = 3, 250
"""Tries of a request, and the wait between them, which doubles. The client's own tell a person after 30 seconds that an
archive is down; the node waits by itself."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")
DENIED = (401, 403)
REDIRECTS = range(300, 400)
ACCEPTED, CONFLICT, SERVER_FAULT = 202, 409, 500
DESCRIPTIONS = ("application/dicom+json", "application/json", "application/dicom+xml", "application/xml")
"""Types of an answer that says what was stored and what was not (PS3.18, 10.5.3)."""
HAS_IT = 0x0111
"""Reason of a failure: the archive has an object with this UID (PS3.7 annex C)."""
CHUNK_BYTES = 2**30


@dataclass(frozen=True)
class FoundFilm:
    """A film that the archive has.

    Attributes:
        series: Its Series Instance UID.
        instance: Its SOP Instance UID.
    """

    series: str
    instance: str


@dataclass(frozen=True)
class Service:
    """A DICOMweb service.

    Attributes:
        url: Its address, such as https://archive.example/dicom-web.
        token: A bearer token, or "". It goes to this address alone and into no log.
        timeout: Seconds without progress after which a request is given up.
        authorities: A file with the certificates that sign the service's (PEM); "" uses those of the system.
    """

    url: str
    token: str = field(default="", repr=False)
    timeout: int = TIMEOUT_SECONDS
    authorities: str = ""

    def __post_init__(self) -> None:
        """Raise SettingsError for a token that would travel unencrypted, and for a file that is not there."""
        object.__setattr__(self, "url", self.url.rstrip("/"))
        if self.authorities and not Path(self.authorities).is_file():
            raise SettingsError(f"There is no file {self.authorities}; give the certificates of the authority in PEM.")
        if self.token and urlsplit(self.url).scheme == "http" and self.host not in LOOPBACK:
            raise SettingsError(f"The token would travel to {self.host} unencrypted; give an https address.")

    @property
    def host(self) -> str:
        """The host that messages name."""
        return urlsplit(self.url).hostname or ""

    def films(self, study: str) -> list[FoundFilm]:
        """Find the frontal knee films of a study by their headers (QIDO-RS). A header that says too little passes.

        Raises:
            AddressError: `study` is no UID.
            ArchiveUnreachable: The service does not answer, or not to this token.
            ArchiveError: The study is not there, has no such film, or more than MOST_FILMS of them.
        """
        import pydicom

        if not UID.fullmatch(study):
            raise AddressError("That is no Study Instance UID; give digits with dots between them, 64 at most.")
        with _errors(self.host), quiet_logs(), quiet_warnings():
            answers = self._client().search_for_instances(study, fields=list(FIELDS))
            headers = [pydicom.Dataset.from_json(one) for one in answers]
            found = [
                FoundFilm(str(one.SeriesInstanceUID), str(one.SOPInstanceUID)) for one in headers if _may_be_knee(one)
            ]
        if not found or len(found) > MOST_FILMS:
            raise ArchiveError(
                f"The archive {self.host} has {len(found)} plain films of that study that may show a knee; give a study"
                f" with 1 to {MOST_FILMS}."
            )
        return found

    def fetch(self, study: str, film: FoundFilm) -> bytes:
        """Return a film as a DICOM file, in the transfer syntax in which the archive has it (WADO-RS).

        Raises the errors of `films`.
        """
        with _errors(self.host), quiet_logs(), quiet_warnings():
            fetched = self._client().retrieve_instance(
                study, film.series, film.instance, media_types=(("application/dicom", "*"),)
            )
            content = io.BytesIO()
            fetched.save_as(content, enforce_file_format=True)
        return content.getvalue()

    def store(self, content: bytes) -> None:
        """Store a DICOM file (STOW-RS).

        Raises:
            ArchiveUnreachable: The service does not answer, or not to this token.
            ArchiveError: The service does not take the object.
        """
        import pydicom

        with _errors(self.host), quiet_logs(), quiet_warnings():
            answer = self._client().store_instances([pydicom.dcmread(io.BytesIO(content))])
        reasons = [int(one.get("FailureReason") or 0) for one in answer.get("FailedSOPSequence") or ()]
        if reasons and reasons != [HAS_IT]:
            raise ArchiveError(
                f"The archive {self.host} does not take the object (reason {reasons[0]:04X}); its log says why."
            )

    def _client(self) -> Any:
        try:
            import requests
            from dicomweb_client.web import DICOMwebClient
        except ImportError:
            raise MissingExtra(
                "DICOMweb needs dicomweb-client; install it with: pip install 'kneeoa-hub[node]'"
            ) from None

        class OneHost(requests.Session):
            """Follows no redirect: an answer must not lead a request, or the token, to another host."""

            def request(self, *arguments: Any, **options: Any) -> Any:
                answer = super().request(*arguments, **{**options, "allow_redirects": False})
                kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                if answer.status_code in REDIRECTS:
                    raise ArchiveError(
                        "The archive answers with a redirect, which is not followed; give the address that it leads to."
                    )
                if str(arguments[0]).upper() == "POST" and answer.ok and kind not in DESCRIPTIONS:
                    raise ArchiveError(
                        f"The archive does not say what it has stored (its answer is {kind or 'empty'}); give the"
                        " address of its DICOMweb service, not of a page in front of it."
                    )
                if kind in DESCRIPTIONS:
                    answer.headers["Content-Type"] = kind  # with a charset, the client would not read the answer
                    if answer.status_code == CONFLICT:
                        answer.status_code = ACCEPTED  # nor with this status, where it says what was not stored
                return answer

        session = OneHost()
        session.trust_env = False  # no .netrc, which would replace the token
        session.verify = self.authorities or True
        if self.token:
            session.headers["Authorization"] = f"Bearer {self.token}"
        # The client sends what is larger than a chunk from a generator, which is empty when it tries again.
        client = DICOMwebClient(self.url, session, timeout=self.timeout, chunk_size=CHUNK_BYTES)
        client.set_http_retry_params(max_attempts=TRIES, wait_exponential_multiplier=RETRY_MILLISECONDS)
        return client


def parse_study(address: str) -> tuple[str, str]:
    """Return the address of the service, and the study's UID.

    `dicomweb://HOST/PATH/studies/UID` is an https address; `http://` and `https://` may be given as they are. Raises
    AddressError.
    """
    parts = STUDY.fullmatch(address)
    if not parts or not UID.fullmatch(parts["study"]):
        raise AddressError("That is no study; give dicomweb://HOST/PATH/studies/UID, or the same with https or http.")
    return f"{'http' if parts['plain'] else 'https'}://{parts['place']}", parts["study"]


def _may_be_knee(header: Any) -> bool:
    """Return whether a film may be a frontal one of a knee by what QIDO-RS says of it, and is not our own capture."""
    plain = header.get("SOPClassUID") in FILM_CLASSES and header.get("Manufacturer") != MAKER
    return plain and read_statements(header).ruled_out is None


@contextmanager
def _errors(host: str) -> Iterator[None]:
    """Turn the errors of requests into the package's own, which repeat neither an address nor a header."""
    import requests

    try:
        yield
    except KneeOAError:
        raise
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else SERVER_FAULT
        if status in DENIED:
            raise ArchiveUnreachable(
                f"The archive {host} denies the request (HTTP {status}); give a valid token."
            ) from None
        if status >= SERVER_FAULT:
            raise ArchiveUnreachable(f"The archive {host} answers with a fault (HTTP {status}).") from None
        raise ArchiveError(f"The archive {host} does not do what was asked (HTTP {status}).") from None
    except requests.exceptions.SSLError:
        raise ArchiveUnreachable(
            f"The archive {host} has no certificate that is trusted here; give the file of its authority in"
            " KNEEOA_DICOMWEB_CA, or in KNEEOA_NODE_TLS_CA for the node."
        ) from None
    except (requests.RequestException, ConnectionError, TimeoutError) as error:
        raise ArchiveUnreachable(
            f"The archive {host} does not answer ({type(error).__name__}); check its address and the network."
        ) from None
    except Exception as error:  # the client raises many kinds for an answer that is not DICOMweb
        raise ArchiveError(
            f"The archive {host} gave an answer that is not DICOMweb ({type(error).__name__}); check its address."
        ) from None

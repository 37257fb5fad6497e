"""Finds, fetches and stores DICOM objects over DICOMweb (PS3.18: QIDO-RS, WADO-RS, STOW-RS), by dicomweb-client."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ..errors import ArchiveError, ArchiveUnreachable, MissingExtra
from ..imaging.quiet import quiet_logs, quiet_warnings

TIMEOUT_SECONDS = 30
UID = re.compile(r"[0-9]+(\.[0-9]+){1,31}")
LONGEST_UID = 64
DENIED = (401, 403)
SERVER_FAULT = 500


@dataclass(frozen=True)
class Service:
    """A DICOMweb service.

    Attributes:
        url: Its address, such as https://archive.example/dicom-web.
        token: A bearer token, or "". It goes to this address alone and into no log.
        timeout: Seconds without progress after which a request is given up.
        verify: A file with the certificates that sign the service's, or True for those of the system.
    """

    url: str
    token: str = field(default="", repr=False)
    timeout: int = TIMEOUT_SECONDS
    verify: str | bool = True

    @property
    def host(self) -> str:
        """The host that messages name."""
        return urlsplit(self.url).hostname or ""

    def store(self, content: bytes) -> None:
        """Store a DICOM file (STOW-RS).

        Raises:
            ArchiveUnreachable: The service does not answer, or not to this token.
            ArchiveError: The service does not take the object.
        """
        import pydicom

        with _errors(self.host), quiet_logs(), quiet_warnings():
            answer = self._client().store_instances([pydicom.dcmread(io.BytesIO(content))])
        failed = answer.get("FailedSOPSequence")
        if failed:
            raise ArchiveError(
                f"The archive {self.host} does not take the object (reason {int(failed[0].FailureReason):04X}); its log"
                " says why."
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
                return super().request(*arguments, **{**options, "allow_redirects": False})

        session = OneHost()
        session.trust_env, session.verify = False, self.verify  # no .netrc, which would replace the token
        if self.token:
            session.headers["Authorization"] = f"Bearer {self.token}"
        return DICOMwebClient(self.url, session, timeout=self.timeout)


@contextmanager
def _errors(host: str) -> Iterator[None]:
    """Turn the errors of requests into the package's own, which repeat neither an address nor a header."""
    import requests

    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else SERVER_FAULT
        if status in DENIED:
            raise ArchiveUnreachable(
                f"The archive {host} denies the request (HTTP {status}); give a valid token."
            ) from None
        if status >= SERVER_FAULT:
            raise ArchiveUnreachable(f"The archive {host} answers with a fault (HTTP {status}).") from None
        raise ArchiveError(f"The archive {host} does not do what was asked (HTTP {status}).") from None
    except (requests.RequestException, ConnectionError, TimeoutError) as error:
        raise ArchiveUnreachable(
            f"The archive {host} does not answer ({type(error).__name__}); check its address and the network."
        ) from None
    except Exception as error:  # the client raises many kinds for an answer that is not DICOMweb
        raise ArchiveError(
            f"The archive {host} gave an answer that is not DICOMweb ({type(error).__name__}); check its address."
        ) from None

"""Sends requests to an archive over HTTP: to one host alone, within bounds, and with errors that name no patient."""

import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import ArchiveError, ArchiveUnreachable, KneeOAError, MissingExtra, SettingsError

RETRY_SECONDS = (0.25, 0.5)
"""The further tries of a request begin after these waits. The node has its own waits."""
BUSY = (408, 429, 503, 504)
"""A request is tried again after these statuses of HTTP."""
PIECE_BYTES = 2**16
DENIED = (401, 403)
REDIRECTS = range(300, 400)
ACCEPTED, CONFLICT, SERVER_FAULT = 202, 409, 500
DESCRIPTIONS = ("application/dicom+json", "application/json", "application/dicom+xml", "application/xml")
"""Responses of these types say what was stored and what was not (PS3.18, 10.5.3)."""


def is_host(text: str) -> bool:
    """Return whether a text may be the name or the address of a host. Other texts make a socket raise UnicodeError."""
    try:
        return bool(text.encode("idna")) and not re.search(r"[\s/]", text)
    except UnicodeError:
        return False


def check_authorities(file: str) -> None:
    """Raise SettingsError for a file that holds no certificates."""
    try:
        ssl.create_default_context(cafile=file)
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = f"There is no file {file}" if isinstance(error, FileNotFoundError) else f"{file} can't be used"
        raise SettingsError(f"{reason}; give the certificates of the authority in PEM.") from None


def _read(response: Any, most_bytes: int, seconds: float) -> None:
    """Read a response to its end, within bounds, so that its content is there.

    Args:
        response: The response of requests, whose content was not read.
        most_bytes: Most bytes of its content.
        seconds: Seconds within which it has to come whole.

    Raises:
        ArchiveError: It has more bytes.
        ArchiveUnreachable: It takes longer.
    """
    content, until = bytearray(), time.monotonic() + seconds
    for piece in response.iter_content(PIECE_BYTES):
        content += piece
        if len(content) > most_bytes:
            raise ArchiveError(
                f"The archive's answer has over {most_bytes} bytes; raise KNEEOA_MAX_BYTES for a larger film."
            )
        if time.monotonic() > until:
            raise ArchiveUnreachable(f"The archive's answer did not come whole within {seconds} s; check the network.")
    response._content = bytes(content)  # what requests itself sets, without a bound


def session(token: str, authorities: str, most_bytes: int, seconds: float) -> Any:
    """Return a session of requests that follows no redirect, and tries again if the archive is busy.

    Args:
        token: A bearer token, or "".
        authorities: A file with the certificates that sign the archive's, or "".
        most_bytes: Most bytes of a response.
        seconds: Seconds within which a response comes whole.

    Raises MissingExtra.
    """
    requests = _requests()

    class OneHost(requests.Session):
        """Follows no redirect, since a response must not lead a request, or the token, to another host."""

        def request(self, *arguments: Any, **options: Any) -> Any:
            for wait in RETRY_SECONDS:
                with suppress(requests.ConnectionError, requests.Timeout):
                    response = self._once(*arguments, **options)
                    if response.status_code not in BUSY:
                        return response
                time.sleep(wait)
            return self._once(*arguments, **options)

        def _once(self, method: str, *arguments: Any, **options: Any) -> Any:
            own = {"allow_redirects": False, "stream": True}
            response = super().request(method, *arguments, **{**options, **own})
            with response:
                _read(response, most_bytes, seconds)
            kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if response.status_code in REDIRECTS:
                raise ArchiveError(
                    "The archive answers with a redirect, which is not followed; give the address that it leads to."
                )
            if method.upper() == "POST" and response.ok and kind not in DESCRIPTIONS:
                raise ArchiveError(
                    f"The archive does not say what it has stored (its answer is {kind or 'empty'}); give the"
                    " address of its DICOMweb service, not of a page in front of it."
                )
            if kind in DESCRIPTIONS:
                response.headers["Content-Type"] = kind  # with a charset, the client would not read the response
                if response.status_code == CONFLICT:
                    response.status_code = ACCEPTED  # nor with this status, where it says what was not stored
            return response

    made = OneHost()
    made.trust_env = False  # no .netrc, which would replace the token
    made.verify = authorities or True
    made.headers["Accept-Encoding"] = "identity"  # a response that unfolds could be of any size
    if token:
        made.headers["Authorization"] = f"Bearer {token}"
    return made


@contextmanager
def errors(host: str) -> Iterator[None]:
    """Turn the errors of requests into the package's own, which repeat neither an address nor a header."""
    requests = _requests()
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
    except Exception as error:  # the client raises many kinds for a response that is not DICOMweb
        raise ArchiveError(
            f"The archive {host} gave an answer that is not DICOMweb ({type(error).__name__}); check its address."
        ) from None


def _requests() -> Any:
    try:
        import requests
    except ImportError:
        raise MissingExtra(
            "DICOMweb needs requests and dicomweb-client; install them with: pip install 'kneeoa-hub[node]'"
        ) from None
    return requests

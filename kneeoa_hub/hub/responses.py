"""Checks the responses of a Hub: the names in the headers, and the length and the pace of the body.

The Hub's client names files in its cache by headers, and reads a body for as long as bytes come.
"""

import math
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx2

from ..errors import HubError, HubUnreachable

if TYPE_CHECKING:
    from httpx2 import Response

LEAST_RATE = 1000
"""A body that is slower than 1,000 bytes per second is given up. A modem of 1996 was four times as fast."""
MOST_RESPONSE = 8 * 1024**2
"""A response that is not a file of a bundle, such as the list of a repo's commits, has at most 8 MB. JSON may take
twenty times its bytes of memory. The names of 50,000 files take half of this."""
MOST_DIGITS = 18
"""A number in a header has at most 18 digits."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NAMES = {
    "X-Repo-Commit": _COMMIT,
    "X-Linked-Etag": re.compile(r'(W/)?"?([0-9a-f]{64}|[0-9a-f]{40})"?'),
    "X-Xet-Hash": re.compile(r"[0-9a-f]{64}"),
}
"""The client names a file by each of these headers. A Hub gives each header only in this form."""


def check_headers(response: "Response", most: int | None) -> None:
    """Raise HubError for a response whose headers no Hub sends.

    A header that would name a file in the cache must be a hash. `ETag` counts if the client reads it, in the response
    for a file without `X-Linked-Etag`. The content must not be compressed, since nobody asked for that, and the file
    must not be announced as longer than `most` bytes.
    """
    headers = response.headers
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise HubError(
            f"{response.url.host} compressed its answer with {headers['Content-Encoding'][:40]!r}, which was not"
            " asked for; check HF_ENDPOINT and the proxy settings."
        )
    announced = whole(headers.get("X-Linked-Size") or headers.get("Content-Length") or "")
    if most is not None and response.is_success and announced > most:
        raise _too_long(response.url.host, response.url.path, most)
    named = dict(_NAMES)
    if response.request.method == "HEAD" and "X-Repo-Commit" in headers and "X-Linked-Etag" not in headers:
        named["ETag"] = _NAMES["X-Linked-Etag"]
    for name, form in named.items():
        if name in headers and headers[name] and not form.fullmatch(headers[name]):
            raise HubError(
                f"{response.url.host} answered with the {name} {headers[name][:100]!r}, which is not a hash. Nothing"
                " was written; check that HF_ENDPOINT is the https address of a Hub that you trust."
            )


def whole(text: str) -> float:
    """Return a header as a whole number.

    Any text that is no number gives 0. More digits than Python reads give infinity.
    """
    if not (text.isascii() and text.isdigit()):
        return 0
    return int(text) if len(text) <= MOST_DIGITS else math.inf


def watched(response: "Response", most: int | None, patience: float) -> "Body":
    """Return the body of a response with limits on size and time.

    Args:
        response: The response of the Hub.
        most: Most bytes of a file; None stands for MOST_RESPONSE.
        patience: Seconds within which each part of the body must arrive.
    """
    return Body(response, MOST_RESPONSE if most is None else most, patience)


class Body(httpx2.SyncByteStream):
    """Reads the body of a response, which may hold at most `most` bytes and must keep the pace of LEAST_RATE.

    Each stretch of `patience` seconds has to bring its part of the bytes.
    """

    def __init__(self, response: "Response", most: int, patience: float):
        self._body, self._most, self._patience = response.stream, most, patience
        self._host, self._path = response.url.host, response.url.path
        self.taken: int = 0

    def __iter__(self) -> Iterator[bytes]:
        began, brought = time.monotonic(), 0
        for part in self._body:  # type: ignore[union-attr]
            self.taken += len(part)
            brought += len(part)
            if self.taken > self._most:
                raise _too_long(self._host, self._path, self._most)
            passed = time.monotonic() - began
            if passed >= self._patience:
                if brought < LEAST_RATE * passed:
                    raise HubUnreachable(
                        f"{self._host} sends {self._path} at {brought / passed:.0f} bytes per second; try again later,"
                        " or set KNEEOA_TIMEOUT (seconds) to wait longer."
                    )
                began, brought = time.monotonic(), 0
            yield part

    def close(self) -> None:
        """Close the connection's stream."""
        self._body.close()  # type: ignore[union-attr]


def _too_long(host: str, path: str, most: int) -> HubError:
    """Return the error for a response of more than `most` bytes."""
    return HubError(f"{host} sends more than {most} bytes for {path}; that is not the bundle that was published.")

"""The HTTP side of the local Hub, with its injected faults."""

import json
import re
import socket
import struct
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from .hub_store import API, CDN, REPO_ID, Ask, Refused

if TYPE_CHECKING:
    from .hub_server import HubServer


ROUTES: tuple[tuple[str, str, str], ...] = (
    ("GET", r"/api/whoami-v2", "whoami"),
    ("POST", r"/api/repos/create", "create"),
    ("POST", r"/api/validate-yaml", "validate"),
    ("POST", rf"{API}/preupload/(?P<rev>[^/]+)", "preupload"),
    ("POST", rf"/(?P<space>spaces/)?{REPO_ID}\.git/info/lfs/objects/batch", "lfs_batch"),
    ("PUT", r"/lfs/(?P<oid>[0-9a-f]+)", "lfs_put"),
    ("POST", r"/lfs-verify/.*", "lfs_verify"),
    ("POST", rf"{API}/commit/(?P<rev>[^/]+)", "take_commit"),
    ("POST", rf"{API}/tag/(?P<rev>[^/]+)", "tag"),
    ("GET", rf"{API}/xet-(?P<may>read|write)-token/(?P<rev>[^/]+)", "xet_token"),
    ("POST", rf"{API}/branch/(?P<rev>[^/]+)", "branch"),
    ("GET", rf"{API}/commits/(?P<rev>[^/]+)", "list_commits"),
    ("GET", rf"{API}/refs", "list_refs"),
    ("GET", rf"{API}/discussions", "discussions"),
    ("GET", rf"{API}/tree/(?P<rev>[^/]+)", "tree"),
    ("GET", rf"{API}(/revision/(?P<rev>[^/]+))?", "info"),
)
"""Method, path, and the handler of the Hub."""
RESOLVE = re.compile(rf"/(?P<space>spaces/)?{REPO_ID}/resolve/(?P<rev>[^/]+)/(?P<name>.+)")


def act(hub: "HubServer", ask: Ask, method: str, path: str) -> tuple[int, bytes, dict[str, str]]:
    """Status, content and headers."""
    for asked, pattern, name in ROUTES:
        match = re.fullmatch(pattern, path)
        if asked == method and match:
            ask.part = {key: unquote(value) for key, value in match.groupdict().items() if value}
            answer = getattr(hub, name)(ask)
            headers = {"Content-Type": "application/json"}
            if name == "xet_token":  # the client reads the headers, and its Xet library the body
                headers |= {"X-Xet-Cas-Url": answer["casUrl"], "X-Xet-Access-Token": answer["accessToken"]}
                headers["X-Xet-Token-Expiration"] = str(answer["exp"])
            return 200, json.dumps(answer).encode(), headers
    if method in ("GET", "HEAD"):
        if match := RESOLVE.fullmatch(path):
            ask.part = {key: unquote(value) for key, value in match.groupdict().items() if value}
            headers, content, elsewhere = hub.resolve(ask)
            return (302, b"", {**headers, "Location": elsewhere}) if elsewhere else (200, content, headers)
        if (match := CDN.fullmatch(path)) and match["oid"] in hub.objects:
            return 200, hub.objects[match["oid"]], {}
    raise Refused(404, f"{method} {path} is not of this Hub")


def handler(hub: "HubServer") -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *_: object) -> None:
            pass

        def handle_one_request(self) -> None:
            with suppress(ConnectionError, ValueError):  # the client has gone, or a fault closed the connection
                super().handle_one_request()

        def answer(self) -> None:
            address = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            hub.requests.append((self.command, address.path))
            if token and (CDN.fullmatch(address.path) or hub.cdn.endswith(self.headers.get("Host", "-"))):
                hub.strays.add(token)
            struck = hub.struck(self.command, address.path)
            if struck == "hang":
                hub.stopped.wait(60)
                self.close_connection = True
                return
            ask = Ask({}, parse_qs(address.query), body, token)
            try:
                if struck == "fail":
                    raise Refused(503, "Service unavailable")
                if struck.startswith("busy"):
                    self.send(429, b"Slow down", {"Retry-After": struck.removeprefix("busy").strip() or "3600"})
                    return
                if struck.startswith("says "):
                    self.send(200, struck.removeprefix("says ").encode(), {"Content-Type": "application/json"})
                    return
                if struck == "portal":
                    self.send(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})
                    return
                moved = hub.renaming(address.path)
                if moved:
                    self.send(307, b"", {"Location": hub.moved_to + moved})
                    return
                with hub.lock:
                    status, content, headers = act(hub, ask, self.command, address.path)
            except Refused as refused:
                status, content = refused.status, json.dumps(refused.body).encode()
                headers = {
                    "X-Error-Code": refused.code,
                    "X-Error-Message": " ".join(refused.body["error"].split()),
                    "Content-Type": "application/json",
                }
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                status, content, headers = 400, json.dumps({"error": f"Bad request: {error!r}"}).encode(), {}
            self.send(status, content, headers, struck)

        do_GET = do_HEAD = do_POST = do_PUT = answer

        def send(self, status: int, content: bytes, headers: dict[str, str], struck: str = "") -> None:
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if status == 200 else None
            whole = len(content)
            if wanted:
                status, content = 206, content[int(wanted[1]) :]
                headers = {**headers, "Content-Range": f"bytes {wanted[1]}-{whole - 1}/{whole}"}
            if struck in ("cut", "reset") and self.command != "GET":
                self.hang_up(struck)  # it was done, and the client gets no response
                return
            if struck.startswith("header "):
                name, _, value = struck.removeprefix("header ").partition(": ")
                headers = {**headers, name: value}
            if struck == "flip" and content:
                content = content[:-1] + bytes([content[-1] ^ 1])
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "HEAD":
                return
            if struck in ("cut", "reset"):
                self.wfile.write(content[: len(content) // 2])
                self.hang_up(struck)
                return
            if struck == "stall":
                self.wfile.write(content[: len(content) // 2])
                hub.stopped.wait(60)
                self.close_connection = True
                return
            if struck == "drip":
                for start in range(len(content)):
                    self.wfile.write(content[start : start + 1])
                    if hub.stopped.wait(0.2):
                        return
                return
            if struck == "slow":
                for start in range(0, len(content), max(1, len(content) // 20)):
                    self.wfile.write(content[start : start + max(1, len(content) // 20)])
                    hub.stopped.wait(0.05)
                return
            self.wfile.write(content)

        def hang_up(self, how: str) -> None:
            self.wfile.flush()
            if how == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            else:
                self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    return Handler

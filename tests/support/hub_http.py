"""The local Hub speaks HTTP here, with its injected faults."""

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
"""A route has a method, a path, and the handler of the Hub."""
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


class Handler(BaseHTTPRequestHandler):
    """A handler answers the requests of one server, `hub`, which says which fault strikes each of them."""

    protocol_version = "HTTP/1.1"
    hub: "HubServer"

    def log_message(self, format: str, *_: object) -> None:
        pass

    def handle_one_request(self) -> None:
        with suppress(ConnectionError, ValueError):  # the client has gone, or a fault closed the connection
            super().handle_one_request()

    def answer(self) -> None:
        hub, address = self.hub, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        hub.requests.append((self.command, address.path))
        if token and (CDN.fullmatch(address.path) or hub.cdn.endswith(self.headers.get("Host", "-"))):
            hub.strays.add(token)
        fault = hub.struck(self.command, address.path)
        if self.answer_by_fault(fault):
            return
        if moved := hub.renaming(address.path):
            self.send(307, b"", {"Location": hub.moved_to + moved})
            return
        try:
            if fault == "fail":
                raise Refused(503, "Service unavailable")
            with hub.lock:
                status, content, headers = act(
                    hub, Ask({}, parse_qs(address.query), body, token), self.command, address.path
                )
        except Refused as refused:
            status, content = refused.status, json.dumps(refused.body).encode()
            headers = {
                "X-Error-Code": refused.code,
                "X-Error-Message": " ".join(refused.body["error"].split()),
                "Content-Type": "application/json",
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            status, content, headers = 400, json.dumps({"error": f"Bad request: {error!r}"}).encode(), {}
        self.send(status, content, headers, fault)

    do_GET = do_HEAD = do_POST = do_PUT = answer

    def answer_by_fault(self, fault: str) -> bool:
        """Answer in place of the Hub, or not at all, and return True; return False where the Hub itself answers."""
        if fault == "hang":
            self.hub.stopped.wait(60)
            self.close_connection = True
        elif fault == "drip head":
            for byte in b"HTTP/1.1 200 OK\r\nX-Hub: " + bytes(range(97, 123)) * 400:
                self.wfile.write(bytes([byte]))
                if self.hub.stopped.wait(0.2):
                    break
            self.close_connection = True
        elif fault.startswith("busy"):
            self.send(429, b"Slow down", {"Retry-After": fault.removeprefix("busy").strip() or "3600"})
        elif fault.startswith("says "):
            self.send(200, fault.removeprefix("says ").encode(), {"Content-Type": "application/json"})
        elif fault == "portal":
            self.send(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})
        else:
            return False
        return True

    def send(self, status: int, content: bytes, headers: dict[str, str], fault: str = "") -> None:
        """Send a response, or the part of it that the request asked for, as the fault changes it."""
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if status == 200 else None
        whole = len(content)
        if wanted:
            status, content = 206, content[int(wanted[1]) :]
            headers = {**headers, "Content-Range": f"bytes {wanted[1]}-{whole - 1}/{whole}"}
        if fault in ("cut", "reset") and self.command != "GET":
            self.hang_up(fault)  # it was done, and the client gets no response
            return
        if fault.startswith("header "):
            name, _, value = fault.removeprefix("header ").partition(": ")
            headers = {**headers, name: value}
        if fault == "flip" and content:
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.write_body(content, fault)

    def write_body(self, content: bytes, fault: str) -> None:
        """Write the body of a response: whole, in part, or slowly."""
        if fault in ("cut", "reset"):
            self.wfile.write(content[: len(content) // 2])
            self.hang_up(fault)
        elif fault == "stall":
            self.wfile.write(content[: len(content) // 2])
            self.hub.stopped.wait(60)
            self.close_connection = True
        elif fault in ("drip", "slow"):
            piece, pause = (1, 0.2) if fault == "drip" else (max(1, len(content) // 20), 0.05)
            for start in range(0, len(content), piece):
                self.wfile.write(content[start : start + piece])
                if self.hub.stopped.wait(pause):
                    return
        else:
            self.wfile.write(content)

    def hang_up(self, how: str) -> None:
        """Close the connection: by the end of the stream, or by a reset."""
        self.wfile.flush()
        if how == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True


def handler(hub: "HubServer") -> type[BaseHTTPRequestHandler]:
    """Return the class of handlers that answer for this server."""
    return type("HandlerOfHub", (Handler,), {"hub": hub})

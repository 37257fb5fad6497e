"""Serves the app: `python -m flask_app --help`."""

import argparse
import logging
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace

import kneeoa_hub
from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.errors import HubUnreachable, KneeOAError
from kneeoa_hub.escaping import CommandParser
from kneeoa_hub.report import DISCLAIMER
from kneeoa_hub.settings import Settings
from kneeoa_hub.third_party import prepare_streams

from . import archive
from .guards import OWN_NAMES, check
from .keys import KEY_LINE, new_key
from .node import worklist
from .node.settings import NodeSettings
from .server import serve
from .store import Readings
from .watch import log_as_json

EXAMPLES = f"""examples:
  python -m flask_app                                        the shipped model, at http://127.0.0.1:8000/
  python -m flask_app --port 8080 --host 0.0.0.0             for other machines; put a TLS proxy in front of it
  python -m flask_app --model org/name --revision v1.0       a pinned model of the Hub
  python -m flask_app --model ./hub/kneeoa --revision v1.0   a versioned folder

Each option has a variable: KNEEOA_HOST, KNEEOA_PORT, KNEEOA_MODEL, KNEEOA_REVISION, KNEEOA_THREADS.
docs/flask.md lists all variables.
{DISCLAIMER}"""
LAST_PORT = 65535
MOST_THREADS = 256
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def main(arguments: list[str] | None = None) -> int:
    """Serve until stopped. Return 0 after a stop and 1 when the server cannot start; exit with 2 for wrong usage."""
    prepare_streams()
    log_as_json()
    parser = _parser()
    try:
        settings = Settings.from_environ()
    except KneeOAError as error:
        parser.error(error.message)
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    if name := given.pop("new_key", None):
        return _show_key(name)
    settings = replace(settings, **given)
    if settings.port > LAST_PORT:  # from KNEEOA_PORT; the option has its own check
        parser.error(f"port {settings.port} does not exist; give one from 0 to {LAST_PORT}.")
    if settings.host in LOOPBACK and not settings.trusted_hosts:
        settings = replace(settings, trusted_hosts=",".join(OWN_NAMES))
    try:
        check(settings)
        _check_readings(settings)
        archive.check(settings)
        if node := NodeSettings.of_node():
            worklist.check(node, bool(settings.api_keys))
    except KneeOAError as error:
        parser.error(error.message)
    try:
        _check_model(settings)
        listener = _listen(settings.host, settings.port)
    except KneeOAError as error:
        return _fail(error.message)
    except OSError as error:
        reason = error.strerror or error
        place = f"{settings.host} port {settings.port}"
        return _fail(f"can't listen on {place} ({reason}); choose another with --port or --host.")
    host, port = listener.getsockname()[:2]
    if settings.host not in LOOPBACK:
        logging.warning("Other machines can reach %s. The app has no encryption and no passwords.", settings.host)
        if not settings.trusted_hosts:
            logging.warning("The app answers to any host name. Give its own names in KNEEOA_TRUSTED_HOSTS.")
    address = f"[{host}]" if ":" in host else host
    print(f"KneeOA answers at http://{address}:{port}/ (Ctrl+C stops it). {DISCLAIMER}", flush=True)
    serve(settings, listener)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "python -m flask_app",
        description="Grade knee films in a browser or over HTTP. By default only this machine can reach the app.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port",
        type=_whole("port", LAST_PORT),
        metavar="PORT",
        help="port to listen on; 0 takes a free one and prints it (default: 8000)",
    )
    parser.add_argument(
        "--model",
        metavar="ADDRESS",
        help="shipped name, folder, or org/name on the Hub (default: the shipped model)",
    )
    parser.add_argument("--revision", help="tag or commit of the model (default: the newest)")
    parser.add_argument(
        "--threads",
        type=_whole("number of threads", MOST_THREADS),
        metavar="N",
        help="threads of one forward pass; 0 takes all cores (default: 0)",
    )
    parser.add_argument(
        "--new-key", metavar="NAME", help="print a new API key and the line to keep on the server, then exit"
    )
    return parser


def _show_key(name: str) -> int:
    key, digest = new_key()
    if not KEY_LINE.fullmatch(f"{name}:{digest}"):
        return _fail(f"{name!r} can't name a key; use 1 to 64 letters, digits, dots, dashes or underscores.")
    print(
        f"Give this key to {name}. It is shown only once:\n  {key}\nAdd this line to the file of KNEEOA_API_KEYS:\n "
        f" {name}:{digest}"
    )
    return 0


def _whole(what: str, most: int) -> Callable[[str], int]:
    """Return an argparse type for a whole number from 0 to `most`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is no {what}; give a whole number from 0 to {most}.")
        return int(text)

    return parse


def _check_model(settings: Settings) -> None:
    """Fail now for a model that cannot be served. When the Hub is down, the app starts and tries again."""
    try:
        read_bundle(kneeoa_hub.pull(settings.model or None, revision=settings.revision or None))
    except HubUnreachable as error:
        logging.warning("%s The app starts and tries again.", error)


def _check_readings(settings: Settings) -> None:
    """Fail now for a malformed address, and make SQLite's file. The server asks a database elsewhere later."""
    if not settings.reader_db:
        return
    store = Readings(settings.reader_db)
    if store.is_file:
        store.ask()


def _listen(host: str, port: int) -> socket.socket:
    """Bind before the server starts, so that a port in use fails at once and the number for port 0 is known."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    if os.name == "posix":  # elsewhere the option lets two servers share a port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    listener.listen(128)
    return listener


def _fail(message: str) -> int:
    print(f"flask_app: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

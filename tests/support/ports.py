"""A server that must know its port before it starts gets a port from here."""

import random
import socket

PORTS = range(20_000, 32_000)
"""These ports are below those that Linux gives to outgoing connections, of which other tests make thousands
meanwhile."""


def free_port() -> int:
    """Return a port of this machine on which nothing listens."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")

"""Reads every environment variable of the package. No other module does (docs/settings.md lists the variables).

`HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE` belong to huggingface_hub, which reads them itself.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from .errors import SettingsError

PREFIX = "KNEEOA_"
"""The name of every variable begins so."""
OF_KUBERNETES = re.compile(
    r"KNEEOA_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)=.*|PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?=.*|PORT=(tcp|udp|sctp)://.*)"
)
"""Kubernetes sets such variables, with such values, beside a service whose name begins with `kneeoa`."""
PARTS = (PREFIX + "NODE_",)
"""A part of the project reads the variables that begin with one of these by itself."""

DIGITS = 18
"""A number has at most 18 digits."""


@dataclass(frozen=True)
class Settings:
    """Holds the values of the environment variables: `KNEEOA_MODEL` is `model`, and so on.

    Attributes:
        model: Address of the bundle to serve; "" is the shipped bundle.
        revision: Pinned revision of that address; "" is its newest one.
        threads: Threads of one forward pass; 0 lets onnxruntime choose.
        max_bytes: Most bytes of one film, checked before it is decoded.
        max_pixels: Most pixels of one film, checked before it is decoded. Pixels of WebP, and of 16 bits in several
            channels, count twice.
        decode_process: Processes that decode films beside this one, each with limits on memory and time; 0 decodes in
            this process. The Flask app and the Space take 2 for 0.
        timeout: Seconds without progress after which a Hub is given up.
        host: Address on which the Flask app listens.
        port: Port on which the Flask app listens.
        trusted_hosts: Host names under which the Flask app answers, separated by commas; "" is any.
        api_keys: File with lines NAME:SHA256, of which the API then requires a key; "" requires none.
        rate_limit: Limit on the gradings of one client of the Flask app, such as "60 per minute"; "" is none.
        secret_key: Key with which the Flask app signs its cookie; "" draws one at every start.
        queue: Requests that may wait to be graded. The Flask app asks the next one to come back later.
        reader_db: SQLAlchemy address of the database in which the Flask app keeps readers' own grades; "" keeps none.
        dicomweb: Address of the DICOMweb service from which the Flask app grades a study by its UID; "" is none.
        dicomweb_token: Bearer token for DICOMweb, in the app and in the command line; "" is none.
        dicomweb_ca: File with the certificates that sign those of DICOMweb services (PEM); "" uses the system's.
        data: Folder with the real films that tests and benchmarks use; "" if there are none.
    """

    model: str = ""
    revision: str = ""
    threads: int = 0
    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 40_000_000
    decode_process: int = 0
    timeout: int = 30
    host: str = "127.0.0.1"
    port: int = 8000
    trusted_hosts: str = ""
    api_keys: str = ""
    rate_limit: str = ""
    secret_key: str = field(default="", repr=False)
    queue: int = 16
    reader_db: str = field(default="", repr=False)
    dicomweb: str = ""
    dicomweb_token: str = field(default="", repr=False)
    dicomweb_ca: str = ""
    data: str = ""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the variables. Raises SettingsError for a wrong value, and for a variable KNEEOA_* of another name."""
        return cls(**read_environ(cls, PREFIX, environ))


def read_environ(kind: type, prefix: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the values of the variables that are set, by the name of their field.

    Args:
        kind: A dataclass with a default for each field. The variables of whole numbers have one that is a number.
        prefix: The start of each variable's name; the field's name in capitals follows.
        environ: The variables; by default those of the process.

    Raises:
        SettingsError: A variable with that prefix has another name, and would not be in force; or a value should be a
            whole number of 0 or more.
    """
    environ = os.environ if environ is None else environ
    environ = {name: text for name, text in environ.items() if not OF_KUBERNETES.fullmatch(f"{name}={text}")}
    names = {prefix + one.name.upper(): one for one in fields(kind)}
    for name in sorted(environ):
        if name.upper().startswith(prefix) and name not in names:
            _check_other(name, prefix, list(names))
    values: dict[str, Any] = {}
    for name, one in names.items():
        if text := environ.get(name, ""):
            values[one.name] = _number(name, text) if isinstance(one.default, int) else text
    return values


def _check_other(name: str, prefix: str, known: list[str]) -> None:
    """Raise SettingsError for a variable with this prefix that is not known, unless a part of the project reads it."""
    if prefix == PREFIX and name.startswith(PARTS):
        return
    own = [one.removeprefix(prefix) for one in known]  # what all names share would make each look near
    near = get_close_matches(name.upper().removeprefix(prefix), own, 1)
    said = f"did you mean {prefix}{near[0]}?" if near else f"there are {', '.join(known)}."
    raise SettingsError(f"{name} is no setting of kneeoa_hub; {said} Rename it or unset it.")


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > DIGITS:
        raise SettingsError(f"{name} is {text[:40]!r}; it needs a whole number of 0 or more.")
    return int(text)


def usable_cores() -> int:
    """Return the number of cores that this process may use. Before Python 3.13 only Linux says."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Every environment variable of the package. Only this module reads them (docs/settings.md lists them).

`HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE` belong to huggingface_hub, which reads them itself.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches

from .errors import SettingsError

PREFIX = "KNEEOA_"
"""The start of every variable's name."""
OF_KUBERNETES = re.compile(r"KNEEOA_(SERVICE_(HOST|PORT)|PORT_\d+_(TCP|UDP))\w*")
"""Variables that Kubernetes sets in each container beside a service named `kneeoa`."""


@dataclass(frozen=True)
class Settings:
    """The values of the environment variables: `KNEEOA_MODEL` is `model`, and so on.

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
        data: Folder with the real films that tests and benchmarks use; "" where there are none.
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
    data: str = ""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the variables.

        Raises:
            SettingsError: There is a variable KNEEOA_* of another name, since a setting with a misspelt name would not
                be in force; or a value should be a whole number of 0 or more.
        """
        environ = os.environ if environ is None else environ
        _check_names(environ, [one.name.upper() for one in fields(cls)])
        values: dict[str, str | int] = {}
        for one in fields(cls):
            text = environ.get(PREFIX + one.name.upper(), "")
            if text and not (one.name == "port" and text.startswith("tcp://")):  # Kubernetes sets it, as OF_KUBERNETES
                values[one.name] = _number(one.name, text) if isinstance(one.default, int) else text
        return cls(**values)  # type: ignore[arg-type]


def _check_names(environ: Iterable[str], known: list[str]) -> None:
    for name in sorted(environ):
        start, own = name[: len(PREFIX)].upper(), name[len(PREFIX) :]
        if start != PREFIX or (name.isupper() and own in known) or OF_KUBERNETES.fullmatch(name):
            continue
        near = get_close_matches(own.upper(), known, 1)
        said = f"did you mean {PREFIX}{near[0]}?" if near else f"there are {', '.join(PREFIX + one for one in known)}."
        raise SettingsError(f"{name} is no setting of kneeoa_hub; {said} Rename it or unset it.")


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise SettingsError(f"{PREFIX}{name.upper()} is {text!r}; it needs a whole number of 0 or more.")
    return int(text)

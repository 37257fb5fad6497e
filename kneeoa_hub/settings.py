"""Every environment variable of the package, read here alone (docs/settings.md lists them).

`HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE` are huggingface_hub's own and are left to it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from .errors import SettingsError

PREFIX = "KNEEOA_"


@dataclass(frozen=True)
class Settings:
    """One field a variable: `KNEEOA_MODEL` is `model`, and so on.

    model: address of the bundle to serve; "" is the one that ships with the package. revision: pinned revision of that
    address; "" is its newest. threads: threads of one forward pass, 0 lets onnxruntime choose. max_bytes, max_pixels:
    limits of one film, checked before it is decoded. Pixels of WebP, and of 16 bits in several channels, count twice.
    timeout: seconds without progress after which a Hub is given up. host, port: where the Flask app listens.
    trusted_hosts: names under which the Flask app may be asked, with commas between; "" is any. api_keys: file of lines
    NAME:SHA256; with it the API needs one of those keys. "" asks for none. rate_limit: of one client's gradings by the
    Flask app, such as "60 per minute"; "" is none. secret_key: what the Flask app signs its cookie with; "" draws one
    at every start. queue: requests that may wait to be graded; the next one is told to come back. reader_db:
    SQLAlchemy's address of the database in which the Flask app keeps readers' own grades; "" keeps none. data: folder
    with the real films that tests and benchmarks use; "" when there are none.
    """

    model: str = ""
    revision: str = ""
    threads: int = 0
    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 40_000_000
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
        """Read `KNEEOA_*`. Raises SettingsError for a number that is none, or a negative one."""
        environ = os.environ if environ is None else environ
        values: dict[str, str | int] = {}
        for one in fields(cls):
            text = environ.get(PREFIX + one.name.upper(), "")
            if text:
                values[one.name] = _number(one.name, text) if isinstance(one.default, int) else text
        return cls(**values)  # type: ignore[arg-type]


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise SettingsError(f"{PREFIX}{name.upper()} is {text!r}; it needs a whole number of 0 or more.")
    return int(text)

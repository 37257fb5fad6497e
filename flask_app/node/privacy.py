"""Makes pseudonyms, which replace study, accession and patient in logs, and on pages unless these are to be shown."""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from kneeoa_hub.errors import SettingsError

KEY_FILE = "pseudonyms.key"
KEY_BYTES = 32
DIGITS = 12


class Pseudonyms:
    """Gives each identifier a pseudonym of 12 hex digits, the same one for as long as the queue's folder exists.

    The key is drawn once and stays in the folder. Without it nobody finds an accession number by trying all numbers.

    Raises SettingsError for a damaged key, such as an empty one, with which anybody could do so.
    """

    def __init__(self, folder: Path):
        path = folder / KEY_FILE
        if not path.exists():  # a full disk must not keep a node with a key from starting
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _draw(path)
        self._key = path.read_bytes()
        if len(self._key) != KEY_BYTES:
            raise SettingsError(
                f"{KEY_FILE} in KNEEOA_NODE_FOLDER has {len(self._key)} bytes, but a key has {KEY_BYTES}; delete the"
                " file. With its new key, the node gives each study another pseudonym."
            )

    def of(self, identifier: str) -> str:
        """Return the pseudonym of an identifier, or "" for an empty one."""
        digest = hmac.new(self._key, identifier.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
        return digest[:DIGITS] if identifier else ""


def _draw(path: Path) -> None:
    """Make the file with a new key, whole or not at all, unless another process is first."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    part.touch(mode=0o600)
    try:
        with part.open("wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())  # a power cut must leave no empty key
        with suppress(FileExistsError):
            path.hardlink_to(part)
    finally:
        part.unlink()

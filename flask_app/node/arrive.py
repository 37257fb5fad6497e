"""Reads the messages of an association. A film goes to the disk as it comes, so that no sender fills the memory."""

import io
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.pdu_primitives import P_DATA

MEMORY_BYTES = 2**20
"""A larger film goes to a file without a name, which ends with its association."""
COMMAND_BYTES = 2**14
"""A larger command is refused. A C-STORE has a few hundred bytes."""
RESERVE_BYTES = 256 * 2**20
"""The node takes no film unless the disk has 256 MB of room beside it, so that the worker can still write answers and
delete films."""
TOO_LARGE, NO_ROOM = "film-too-large", "disk"


class ArrivingFilm:
    """Collects the data set of a C-STORE while it comes.

    Args:
        folder: The folder of its file.
        most_bytes: A larger data set is not kept.

    Attributes:
        failure: TOO_LARGE or NO_ROOM if the data set is not kept, otherwise "".
    """

    def __init__(self, folder: Path, most_bytes: int):
        self._folder, self._most_bytes, self._size = folder, most_bytes, 0
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES, dir=str(folder))  # noqa: SIM115  # the finalizer closes it
        self.failure: str = ""
        self.close = weakref.finalize(self, self._file.close)

    def write(self, part: bytes) -> None:
        """Add a part. Once the data set is not kept, parts are dropped, so that its sender gets an answer."""
        self._size += len(part)
        if not self.failure and self._size > self._most_bytes:
            self._fail(TOO_LARGE)
        if not self.failure and self._size > MEMORY_BYTES and not has_room(self._folder, self._size):
            self._fail(NO_ROOM)
        if self.failure:
            return
        try:
            self._file.write(part)
        except OSError:
            self._fail(NO_ROOM)

    def read(self) -> bytes:
        """Return the data set."""
        self._file.seek(0)
        return self._file.read()

    def _fail(self, failure: str) -> None:
        self.failure = failure
        self.close()


class Messages(DIMSEServiceProvider):
    """Receives the messages of an association: C-ECHO and C-STORE. Any other, or a malformed one, ends the association.

    Args:
        association: The association.
        folder: The folder for films that come.
        most_bytes: Most bytes of one film.
    """

    def __init__(self, association: Association, folder: Path, most_bytes: int):
        super().__init__(association)
        self._folder, self._most_bytes = folder, most_bytes

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the next part of a message. pynetdicom calls this."""
        try:
            if self.message is None:
                self.message = self._begun()
            if self.message.decode_msg(primitive, self.assoc):
                message, self.message = self.message, None
                self._take(message)
        except Exception:  # pynetdicom raises many kinds; one that leaves this method ends the thread with a traceback
            self.message = None
            self.dul.event_queue.put("Evt19")  # an invalid PDU: the association is aborted (PS3.8, 9.2)

    def _begun(self) -> DIMSEMessage:
        if not self.msg_queue.empty():  # one operation at a time was agreed on
            raise ValueError("a message before the answer to the one before")
        message = DIMSEMessage()
        message.encoded_command_set = _Command()
        message.data_set = ArrivingFilm(self._folder, self._most_bytes)  # type: ignore[assignment]  # has its `write`
        return message

    def _take(self, message: DIMSEMessage) -> None:
        film: Any = message.data_set
        message.data_set = io.BytesIO()
        request: Any = message.message_to_primitive()
        if type(request) not in (C_ECHO, C_STORE):
            raise ValueError("a message of a service that is not offered")
        request.film = film
        self.msg_queue.put((message.context_id, request))  # type: ignore[arg-type]


class _Command(io.BytesIO):
    def write(self, part: Any) -> int:
        if self.tell() + len(part) > COMMAND_BYTES:
            raise ValueError("a command that is too large")
        return super().write(part)


def has_room(folder: Path, film_bytes: int) -> bool:
    """Return whether the disk has room for a film twice, since SQLite's log holds it too, and for RESERVE_BYTES."""
    return shutil.disk_usage(folder).free >= RESERVE_BYTES + 2 * film_bytes

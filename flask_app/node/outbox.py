"""Keeps the objects that wait to be sent to the archive, and notes what came of sending them."""

from .disk import Disk
from .records import Object

LONGEST_WAIT = 10800
"""An object waits at most three hours for its next try, see `deliver`. A time further ahead was noted by a clock that
has been put back since."""
AFTER = 0.001
"""A report of a study is made at least a millisecond after the one before, whatever the clock says."""


class Outbox(Disk):
    """Keeps the objects of a queue that go to the archive."""

    def to_send(self, most: int) -> list[Object]:
        """Return the objects whose time to be sent has come, oldest first.

        The objects of a study that is to be graded again wait, since they may be withdrawn.
        """
        now = self.clock()
        rows = self.select(
            "SELECT object, kind, content, attempts FROM objects JOIN studies USING (study)"
            " WHERE state = 'waiting' AND due_at IS NULL"
            " AND (next_at <= ? OR next_at > ? OR attempts = 0 AND made_at > ?)"
            " ORDER BY made_at, objects.rowid LIMIT ?",
            now,
            now + LONGEST_WAIT,
            now + AFTER,
            most,
        )
        return [Object(*row) for row in rows]

    def begin_sending(self, name: str) -> bool:
        """Note that an object is about to be sent; return whether it still is to be."""
        with self.transaction() as database:
            return bool(
                database.execute(
                    "UPDATE objects SET begun = 1 WHERE object = ? AND state = 'waiting'"
                    " AND study IN (SELECT study FROM studies WHERE due_at IS NULL)",
                    (name,),
                ).rowcount
            )

    def sent(self, name: str) -> None:
        """Note that the archive has taken an object."""
        with self.transaction() as database:
            database.execute(
                "UPDATE objects SET state = 'sent', reason = '', sent_at = ? WHERE object = ?", (self.clock(), name)
            )

    def not_sent(self, name: str, reason: str, after: float | None) -> None:
        """Note that the archive did not take an object.

        Args:
            name: SOP Instance UID of the object.
            reason: The reason that the worklist shows.
            after: Seconds until the next attempt; None gives the object up.
        """
        with self.transaction() as database:
            database.execute(
                "UPDATE objects SET state = ?, reason = ?, attempts = attempts + 1, next_at = ?"
                " WHERE object = ? AND state <> 'withdrawn'",
                ("rejected" if after is None else "waiting", reason, self.clock() + (after or 0), name),
            )

    def put_off(self, name: str, seconds: float) -> None:
        """Send an object after so many seconds, so that others are sent before it."""
        with self.transaction() as database:
            database.execute("UPDATE objects SET next_at = ? WHERE object = ?", (self.clock() + seconds, name))

    def unreachable(self, reason: str) -> None:
        """Note with everything that waits why the archive could not be reached."""
        with self.transaction() as database:
            database.execute("UPDATE objects SET reason = ? WHERE state = 'waiting'", (reason,))

    def resend(self, study: str) -> int:
        """Make the newest objects of a study that are still here wait to be sent at once, and return their number."""
        with self.transaction() as database:
            return database.execute(
                "UPDATE objects SET state = 'waiting', attempts = 0, next_at = ?, asked_at = ?"
                " WHERE study = ? AND length(content) > 0 AND state <> 'withdrawn' AND made_at ="
                " (SELECT max(made_at) FROM objects WHERE study = ? AND state <> 'withdrawn')",
                (self.clock(), self.clock(), study, study),
            ).rowcount

    def newest_request(self) -> float:
        """Return when a person last asked to send something again that still waits.

        The time is in seconds since 1970; 0 stands for never.
        """
        ((newest,),) = self.select("SELECT coalesce(max(asked_at), 0) FROM objects WHERE state = 'waiting'")
        return newest

"""Deletes what is old: films some days after their answer, and rows, answers and the audit trail later."""

from collections.abc import Sequence

from .disk import PAGE_BYTES, Disk

DAY_SECONDS = 86400
OLD = "study IN (SELECT study FROM studies WHERE due_at IS NULL AND answered_at < ?)"
"""These studies were answered before some time, and no film of them has come since."""
UNSENT = "(SELECT study FROM objects WHERE state = 'waiting')"
OLDEST_FILM = (
    "UPDATE films SET content = NULL WHERE film = (SELECT film FROM films JOIN studies USING (study)"
    " WHERE content IS NOT NULL AND due_at IS NULL ORDER BY films.received_at LIMIT 1)"
)
OLDEST_KEPT_CAPTURE = (
    "DELETE FROM objects WHERE object = (SELECT object FROM objects"
    " WHERE state = 'waiting' AND kind = 'sc' ORDER BY made_at LIMIT 1)"
)
OLDEST_SENT = (
    "UPDATE objects SET content = x'' WHERE object = (SELECT object FROM objects"
    " WHERE state IN ('sent', 'withdrawn') AND length(content) > 0 ORDER BY kind = 'sr', sent_at LIMIT 1)"
)
"""These three make room, the first one that can."""


def sweep(disk: Disk, keep_films: float, keep_days: float, roomy_bytes: int = 0, *, sends: bool = True) -> None:
    """Delete what is older than so many days. Films that are not graded and answers that wait stay.

    Args:
        disk: The queue's disk.
        keep_films: Days for which the films of an answered study are kept.
        keep_days: Days for which rows, answers and the audit trail are kept.
        roomy_bytes: While the disk uses more bytes than this, content goes earlier, oldest first: the films of answered
            studies, then captures that were sent, then reports that were sent. 0 is no limit.
        sends: Whether there is an archive. Without one no answer waits for it: all go when they are old, and captures
            earlier to make room.
    """
    now = disk.clock()
    unsent_stay = f" AND study NOT IN {UNSENT}" if sends else ""
    to_drop = (OLDEST_FILM, OLDEST_SENT) if sends else (OLDEST_FILM, OLDEST_KEPT_CAPTURE, OLDEST_SENT)
    with disk.transaction() as database:
        database.execute(
            f"UPDATE films SET content = NULL WHERE content IS NOT NULL AND {OLD}", (now - keep_films * DAY_SECONDS,)
        )
        before = (now - keep_days * DAY_SECONDS,)
        for table in ("films", "objects", "studies"):  # the rows that a study's own row is needed for go first
            database.execute(f"DELETE FROM {table} WHERE {OLD}{unsent_stay}", before)
        database.execute("DELETE FROM audit WHERE at < ?", before)
    while roomy_bytes and used_bytes(disk) > roomy_bytes and _drop_oldest(disk, to_drop):
        pass


def used_bytes(disk: Disk) -> int:
    """Return the bytes of the file that are in use."""
    ((pages,),), ((free,),) = (disk.select(f"PRAGMA {name}") for name in ("page_count", "freelist_count"))
    return (pages - free) * PAGE_BYTES


def _drop_oldest(disk: Disk, queries: Sequence[str]) -> bool:
    """Delete what the first of the queries finds that finds something, and return whether one did."""
    with disk.transaction() as database:
        return any(database.execute(query).rowcount for query in queries)

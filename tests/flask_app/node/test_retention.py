"""Retention deletes old rows and nothing that waits."""

import sqlite3

from flask_app.node.queue import Queue
from flask_app.node.retention import sweep, used_bytes

from ...support.node_queue import DAY, film, grading, state, take, waiting


def test_retention_deletes_old_rows_and_nothing_that_waits(queue, grader, clock):
    first, second = take(queue, film(), film())
    grading(queue, grader).grade_next()
    clock.now += 3 * DAY
    sweep(queue, keep_films=2, keep_days=365)
    (old,), (young,) = (list(queue.films(one)) for one in map(_study(queue), (first, second)))
    assert old.content is None
    assert young.content
    clock.now += 400 * DAY
    sweep(queue, keep_films=2, keep_days=365)
    assert state(queue, first)[0] == "graded"  # its report was never sent
    queue.sent(waiting(queue)[0].SOPInstanceUID)
    sweep(queue, keep_films=2, keep_days=365)
    assert state(queue, first) == ("deleted", "")
    assert state(queue, second) == ("waiting", "")
    before = used_bytes(queue)
    grading(queue, grader).grade_next()
    sweep(queue, keep_films=2, keep_days=365, roomy_bytes=1)
    assert used_bytes(queue) < before


def _study(queue: Queue):
    def of(uid: str) -> str:
        with sqlite3.connect(queue.folder / "queue.sqlite") as database:
            (found,) = database.execute("SELECT study FROM films WHERE film = ?", (uid,)).fetchone()
        database.close()
        return found

    return of


def test_a_full_queue_drops_sent_captures_and_reports_and_nothing_that_waits(queue, grader):
    take(queue, film(), film())
    while grading(queue, grader, capture=True).grade_next():
        pass
    gone = [one.object for one in queue.to_send(2)]
    for name in gone:
        queue.sent(name)
    sweep(queue, keep_films=2, keep_days=365, roomy_bytes=1)
    empty = queue.select("SELECT object FROM objects WHERE length(content) = 0 ORDER BY rowid")
    assert [name for (name,) in empty] == gone
    ((uid,),) = queue.select("SELECT study FROM objects WHERE object = ?", gone[0])
    assert queue.previous_report(uid) is None
    assert queue.resend(uid) == 0


def test_without_an_archive_captures_make_room_and_old_answers_go(queue, grader, clock):
    (uid,) = take(queue, film())
    grading(queue, grader, capture=True).grade_next()
    sweep(queue, keep_films=2, keep_days=365, roomy_bytes=1, sends=False)
    assert [one.Modality for one in waiting(queue)] == ["SR"]
    clock.now += 400 * DAY
    sweep(queue, keep_films=2, keep_days=365, sends=False)
    assert state(queue, uid) == ("deleted", "")

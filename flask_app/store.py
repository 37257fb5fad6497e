"""What readers grade themselves: kept by SQLAlchemy, with a film's hash and nothing else of it."""

import csv
import io
import logging
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import numpy as np
from flask import Flask
from sqlalchemy import (
    URL,
    Boolean,
    Column,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    delete,
    event,
    insert,
    make_url,
    select,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from kneeoa_hub.agreement import confusion, qwk, qwk_interval
from kneeoa_hub.errors import SettingsError
from kneeoa_hub.inert import cell

from .problems import ShownError

EXTENSION = "kneeoa_readings"
log = logging.getLogger(__name__)
CSV_COLUMNS = ("file", "grade", "group", "side", "reader", "before", "model_grade", "model", "revision")
TABLE = Table(
    "readings",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("film_sha256", String(64), nullable=False, index=True),
    Column("knee", Integer, nullable=False),
    Column("side", String(5)),
    Column("reader", String(32), nullable=False),
    Column("before", Boolean, nullable=False),
    Column("grade", Integer, nullable=False),
    Column("model_grade", Integer, nullable=False),
    Column("model", String(200), nullable=False),
    Column("revision", String(40), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("film_sha256", "knee", "reader", "before"),
)


@dataclass(frozen=True)
class Reading:
    """One knee as a reader graded it.

    film_sha256: of the file. knee: its number in the picture from the left, from 0. side: the patient's, or None.
    reader: a code, not a name. before: the model's answer was not shown yet. model_grade: what it was.
    """

    film_sha256: str
    knee: int
    side: str | None
    reader: str
    before: bool
    grade: int
    model_grade: int
    model: str
    revision: str


ANSWER_SECONDS = 3
"""In which a database must take a connection, and do what it is asked to."""
ASIDE_SECONDS = 10
"""For which pages do not ask a database that failed to answer."""
ATTEMPTS = 8
"""Of a save, when another one of the same reader's grade of the same knee came between."""
LEAST_FILMS = 10
"""Under which a kappa, and its interval more so, would say nothing."""
FIELDS = tuple(Reading.__dataclass_fields__)


@dataclass(frozen=True)
class Agreement:
    """Of readers with the model. kappa: quadratically weighted; low, high: its 95% interval over films; None under
    LEAST_FILMS films.

    counts: [5][5] knees, rows the reader's grade.
    """

    knees: int
    films: int
    kappa: float | None
    low: float | None
    high: float | None
    same: float
    counts: list[list[int]]


class ReadingsUnavailable(ShownError):
    """The database did not answer. Its reason may name hosts, so only the log has it."""

    code = "readings-unavailable"
    status = 503

    def __init__(self) -> None:
        super().__init__(
            "Readers' grades can't be kept now: their database does not answer. Nothing was saved; try again, then tell"
            " the operator."
        )


class Readings:
    """The table of readings at an address of SQLAlchemy's. Threads may share it.

    make: whether it may make SQLite's file; without it a file that is gone is told, and not replaced by an empty one.
    """

    def __init__(self, address: str, make: bool = True):
        """Raises SettingsError for an address that is none.

        Whether a database answers there is seen when it is needed.
        """
        try:
            url = make_url(address)
            # Readings are few, so none is kept connected; a database that was restarted is no concern. Their values are
            # no concern of a log.
            self._engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=_limits(url))
        except (SQLAlchemyError, ImportError) as error:
            raise SettingsError(
                f"KNEEOA_READER_DB can't be used ({type(error).__name__}); give sqlite:///readings.db, or"
                " postgresql+psycopg://USER:PASSWORD@HOST/NAME."
            ) from None
        self._make, self._made = make, False
        self._making = threading.Lock()
        self._failed_at: float | None = None
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "do_connect", self._open_sqlite)
        if self._engine.dialect.name == "postgresql" and "options" not in url.query:
            event.listen(self._engine, "connect", _limit_statements)

    @classmethod
    def of(cls, app: Flask) -> "Readings | None":
        """The app's, or None where readers' grades are not kept."""
        return app.extensions.get(EXTENSION)

    @property
    def is_file(self) -> bool:
        """On this machine, and made by whoever opens it."""
        return self._engine.dialect.name == "sqlite"

    def ask(self) -> None:
        """Make the table if need be; when the database does not answer, the log says so and what follows from it."""
        try:
            self.of_films(())
        except ReadingsUnavailable:
            log.warning(
                "The app starts; readers' grades are refused until their database answers. A file that is not there is"
                " made at a start alone."
            )

    def save(self, readings: Iterable[Reading]) -> None:
        """All of them or none; a reader's new grade of a knee takes the place of the old one.

        Raises ReadingsUnavailable.
        """
        # so that two saves can't wait for each other
        wanted = sorted(readings, key=lambda reading: (reading.film_sha256, reading.knee, reading.before))
        with self._answering():
            for left in reversed(range(ATTEMPTS)):
                try:
                    self._replace(wanted)
                    return
                except IntegrityError:  # the same form twice at once: the other's rows are there now, to be replaced
                    if not left:
                        raise

    def all(self) -> list[Reading]:
        """Every reading, oldest first. Raises ReadingsUnavailable."""
        return self._select(select(*(TABLE.c[name] for name in FIELDS)).order_by(TABLE.c.id))

    def of_films(self, hashes: Collection[str]) -> dict[tuple[str, int], list[Reading]]:
        """The readings of some films, by film and knee.

        Raises ReadingsUnavailable, for a moment after a failure without asking again.
        """
        if self._failed_at is not None and time.monotonic() - self._failed_at < ASIDE_SECONDS:
            raise ReadingsUnavailable
        found: dict[tuple[str, int], list[Reading]] = {}
        for reading in self._select(
            select(*(TABLE.c[name] for name in FIELDS)).where(TABLE.c.film_sha256.in_(hashes)).order_by(TABLE.c.id)
        ):
            found.setdefault((reading.film_sha256, reading.knee), []).append(reading)
        return found

    def _replace(self, readings: Iterable[Reading]) -> None:
        now = datetime.now(UTC)
        with self._engine.begin() as connection:
            for reading in readings:
                given = dict(zip(FIELDS, astuple(reading), strict=True))
                key = (TABLE.c[name] == given[name] for name in ("film_sha256", "knee", "reader", "before"))
                connection.execute(delete(TABLE).where(*key))
                connection.execute(insert(TABLE).values(**given, at=now))

    def _open_sqlite(self, dialect: Any, record: Any, arguments: list[Any], options: dict[str, Any]) -> None:
        """SQLite makes a file that is not there, unless it is told not to."""
        name = arguments[0]
        if (self._made or not self._make) and not options.get("uri") and name != ":memory:":
            arguments[0], options["uri"] = f"file:{quote(name)}?mode=rw", True

    def _select(self, query: Any) -> list[Reading]:
        with self._answering(), self._engine.connect() as connection:
            return [Reading(*row) for row in connection.execute(query)]

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """The table is made before it is first used, and not again: one that is gone later is told, not replaced by an
        empty one.
        """
        began = time.monotonic()
        try:
            with self._making:
                if not self._made:
                    self._make_table(began)
            yield
            self._failed_at = None
        except SQLAlchemyError as error:
            self._failed_at = time.monotonic()
            log.error("The readers' database does not answer (%s)", _kind(error))
            raise ReadingsUnavailable from error

    def _make_table(self, began: float) -> None:
        """Not once more for whoever waited, since `began`, for a try that failed."""
        if self._failed_at is not None and self._failed_at >= began:
            raise ReadingsUnavailable
        try:
            TABLE.metadata.create_all(self._engine)
        except SQLAlchemyError:
            self._failed_at = time.monotonic()
            raise
        self._made = True


def _limits(url: URL) -> dict[str, Any]:
    """The driver's own settings by which it gives up, but for what the address itself says of them."""
    if url.get_backend_name() == "sqlite":
        return {} if "timeout" in url.query else {"timeout": ANSWER_SECONDS}
    if url.get_driver_name() not in ("psycopg", "psycopg2"):
        return {}
    limits = {"connect_timeout": ANSWER_SECONDS, "tcp_user_timeout": 1000 * ANSWER_SECONDS}
    return {name: value for name, value in limits.items() if name not in url.query}


def _limit_statements(connection: Any, record: Any) -> None:
    """Not by an option of the connection, which PgBouncer refuses."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = {1000 * ANSWER_SECONDS}")
    connection.commit()


def _kind(error: SQLAlchemyError) -> str:
    """Its class, and the database's own code.

    What it says may repeat a film's hash and a reader's code, or name hosts.
    """
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
    return f"{type(cause).__name__}, {code}" if code else type(cause).__name__


def agreement(readings: Collection[Reading]) -> Agreement | None:
    """None when there are no readings."""
    if not readings:
        return None
    given = np.array([reading.grade for reading in readings])
    answered = np.array([reading.model_grade for reading in readings])
    films = np.array([reading.film_sha256 for reading in readings])
    several = len(np.unique(films)) >= LEAST_FILMS and len(np.unique(np.concatenate([given, answered]))) > 1
    low, high = qwk_interval(given, answered, films) if several else (None, None)
    kappa = qwk(given, answered) if several else None
    return Agreement(
        len(given),
        len(np.unique(films)),
        kappa,
        low,
        high,
        float((given == answered).mean()),
        confusion(given, answered).tolist(),
    )


def as_csv(readings: Iterable[Reading]) -> str:
    """By film and knee in the form that `python -m tuning` reads: `file` is the film's hash, and so is its group."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for one in readings:
        film = (f"sha256:{one.film_sha256}", one.grade, one.film_sha256[:16], one.side or "")
        writer.writerow((*film, cell(one.reader), int(one.before), one.model_grade, cell(one.model), one.revision))
    return out.getvalue()

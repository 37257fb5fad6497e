"""Stores the grades of readers by SQLAlchemy, with the hash of a film and nothing else of it."""

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
from kneeoa_hub.escaping import escape_cell

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
    """Describes one knee as a reader graded it.

    Attributes:
        film_sha256: The SHA-256 of the film's file.
        knee: The number of the knee in the picture, from the left, from 0.
        side: The patient's side, or None.
        reader: The code of the reader, which is not a name.
        before: Whether the reader graded before seeing the model's answer.
        grade: The reader's grade.
        model_grade: The model's grade.
        model: The name of the model.
        revision: Its revision.
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
"""A database must accept a connection, and complete a statement, within three seconds."""
ASIDE_SECONDS = 10
"""For ten seconds pages do not ask a database that failed to answer."""
ATTEMPTS = 8
"""A save is tried eight times, since another save of the same reader's grade of the same knee may come between."""
LEAST_FILMS = 10
"""With fewer films a kappa would say nothing, and its interval even less."""
FIELDS = tuple(Reading.__dataclass_fields__)


@dataclass(frozen=True)
class ReaderAgreement:
    """Holds the agreement of readers with the model.

    Attributes:
        knees: The number of readings.
        films: The number of films.
        kappa: The quadratic weighted kappa, or None with fewer than LEAST_FILMS films.
        low: The lower end of its 95% interval over films, or None.
        high: The upper end, or None.
        same: The proportion of readings with the model's grade.
        counts: [5][5] knees. A row is the reader's grade, a column the model's.
    """

    knees: int
    films: int
    kappa: float | None
    low: float | None
    high: float | None
    same: float
    counts: list[list[int]]


class ReadingsUnavailable(ShownError):
    """The database did not answer. The log has the reason, which may name hosts."""

    code = "readings-unavailable"
    status = 503

    def __init__(self) -> None:
        super().__init__(
            "The app cannot save readers' grades now, since their database does not answer. Nothing was saved. Try"
            " again. If it fails again, inform the operator."
        )


class Readings:
    """Keeps the table of readings in a database. Threads may share it."""

    def __init__(self, address: str, make: bool = True):
        """Prepare the connection; nothing is asked yet. Raises SettingsError for a malformed address.

        Args:
            address: The address of the database in the form of SQLAlchemy.
            make: Whether SQLite's file may be made. Otherwise a missing file is an error, and no empty one replaces it.
        """
        try:
            url = make_url(address)
            # Readings are few, so no connection is kept, and a restart of the database does no harm. The log must not
            # have their values.
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
        """Return the readings of an app, or None if it keeps none."""
        return app.extensions.get(EXTENSION)

    @property
    def is_file(self) -> bool:
        """Whether the database is a file on this machine, which the first connection makes."""
        return self._engine.dialect.name == "sqlite"

    def ask(self) -> None:
        """Make the table if it is missing, and log it when the database does not answer."""
        try:
            self.of_films(())
        except ReadingsUnavailable:
            log.warning(
                "The app starts. It cannot save readers' grades until their database answers. It makes a missing file"
                " only when it starts."
            )

    def save(self, readings: Iterable[Reading]) -> None:
        """Save all of them or none. A reader's new grade of a knee replaces the old one. Raises ReadingsUnavailable."""
        # in one order, so that two saves cannot wait for each other
        wanted = sorted(readings, key=lambda reading: (reading.film_sha256, reading.knee, reading.before))
        with self._answering():
            for left in reversed(range(ATTEMPTS)):
                try:
                    self._replace(wanted)
                    return
                except (
                    IntegrityError
                ):  # the same form came twice at once, so the other one's rows are there to be replaced
                    if not left:
                        raise

    def all(self) -> list[Reading]:
        """Return every reading, oldest first. Raises ReadingsUnavailable."""
        return self._select(select(*(TABLE.c[name] for name in FIELDS)).order_by(TABLE.c.id))

    def of_films(self, hashes: Collection[str]) -> dict[tuple[str, int], list[Reading]]:
        """Return the readings of some films, by film and knee.

        Raises ReadingsUnavailable; for ASIDE_SECONDS after a failure it does not ask again.
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
        """Keep SQLite from making a missing file, if it may not or has done so before."""
        name = arguments[0]
        if (self._made or not self._make) and not options.get("uri") and name != ":memory:":
            arguments[0], options["uri"] = f"file:{quote(name)}?mode=rw", True

    def _select(self, query: Any) -> list[Reading]:
        with self._answering(), self._engine.connect() as connection:
            return [Reading(*row) for row in connection.execute(query)]

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Make the table before its first use only, and turn a failure of the database into ReadingsUnavailable."""
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
        """Make the table, unless another try has failed since `began`, for which this one has waited."""
        if self._failed_at is not None and self._failed_at >= began:
            raise ReadingsUnavailable
        try:
            TABLE.metadata.create_all(self._engine)
        except SQLAlchemyError:
            self._failed_at = time.monotonic()
            raise
        self._made = True


def _limits(url: URL) -> dict[str, Any]:
    """Return the time limits of the driver, except those that the address itself sets."""
    if url.get_backend_name() == "sqlite":
        return {} if "timeout" in url.query else {"timeout": ANSWER_SECONDS}
    if url.get_driver_name() not in ("psycopg", "psycopg2"):
        return {}
    limits = {"connect_timeout": ANSWER_SECONDS, "tcp_user_timeout": 1000 * ANSWER_SECONDS}
    return {name: value for name, value in limits.items() if name not in url.query}


def _limit_statements(connection: Any, record: Any) -> None:
    """Limit the time of a statement by SQL, since PgBouncer refuses an option of the connection."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = {1000 * ANSWER_SECONDS}")
    connection.commit()


def _kind(error: SQLAlchemyError) -> str:
    """Return the class of an error and the database's code. Its message may repeat a hash or a code, or name hosts."""
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
    return f"{type(cause).__name__}, {code}" if code else type(cause).__name__


def agreement(readings: Collection[Reading]) -> ReaderAgreement | None:
    """Return how far readings agree with the model, or None when there are none."""
    if not readings:
        return None
    given = np.array([reading.grade for reading in readings])
    answered = np.array([reading.model_grade for reading in readings])
    films = np.array([reading.film_sha256 for reading in readings])
    several = len(np.unique(films)) >= LEAST_FILMS and len(np.unique(np.concatenate([given, answered]))) > 1
    low, high = qwk_interval(given, answered, films) if several else (None, None)
    kappa = qwk(given, answered) if several else None
    return ReaderAgreement(
        len(given),
        len(np.unique(films)),
        kappa,
        low,
        high,
        float((given == answered).mean()),
        confusion(given, answered).tolist(),
    )


def as_csv(readings: Iterable[Reading]) -> str:
    """Return readings in the form that `python -m tuning` reads. The hash of the film names its file and its group."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for one in readings:
        film = (f"sha256:{one.film_sha256}", one.grade, one.film_sha256[:16], one.side or "")
        writer.writerow(
            (*film, escape_cell(one.reader), int(one.before), one.model_grade, escape_cell(one.model), one.revision)
        )
    return out.getvalue()

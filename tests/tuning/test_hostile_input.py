"""Archives, tables and records that nobody honest writes: one error, before memory or time is taken."""

import json
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from kneeoa_hub.errors import DataError
from kneeoa_hub.imaging.film import Limits
from tuning.data.sources import NAME_BYTES, FilmReader, read_labels
from tuning.data.table import AuditedFilm, read_films, write_films
from tuning.run import steps

FILM = "0/film.png"
TOO_LARGE = Limits().max_bytes + 1


def packed_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(FILM, "w") as film:
        for _ in range(TOO_LARGE // 2**20 + 1):
            film.write(bytes(2**20))


def damaged_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FILM, os.urandom(1000) * 3)
    content = bytearray(path.read_bytes())
    content[60:90] = b"\xff" * 30
    path.write_bytes(content)


def sparse_tar(path: Path) -> None:
    member = tarfile.TarInfo(FILM)
    member.size = 2**40
    path.write_bytes(member.tobuf() + bytes(1024))


@pytest.mark.parametrize(
    ("name", "make"), [("a.zip", packed_zip), ("a.zip", damaged_zip), ("a.tar", sparse_tar), ("a.tgz", sparse_tar)]
)
def test_a_film_that_unpacks_to_gigabytes_or_not_at_all_cannot_be_read(tmp_path, name, make):
    make(tmp_path / name)
    with FilmReader() as reader, pytest.raises(DataError, match=r"can't be read from|can't be opened"):
        reader.read(str(tmp_path / name), FILM)


def test_a_device_in_place_of_a_film_is_read_to_the_limit(tmp_path):
    (tmp_path / "film.png").symlink_to("/dev/zero")
    with FilmReader() as reader, pytest.raises(DataError, match="over the limit"):
        reader.read(str(tmp_path), "film.png")


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_name_of_gigabytes_in_an_archive_is_not_read(tmp_path, kind):
    header = tarfile.TarInfo("name")
    header.type, header.size = kind, NAME_BYTES + 1
    (tmp_path / "a.tar").write_bytes(header.tobuf() + bytes(NAME_BYTES + 2048))
    with pytest.raises(DataError, match="as an archive"):
        read_labels([str(tmp_path / "a.tar")])


def test_a_name_that_a_spreadsheet_would_compute_is_harmless_in_the_table_and_comes_back(tmp_path):
    film = AuditedFilm("oai", "s", "=cmd|x\r.png", 0, "@g", "", "train", "a", "b", 1, 1, 1, 0, "yes")
    write_films(tmp_path / "films.csv", [film])
    assert "'=cmd|x" in (tmp_path / "films.csv").read_text("utf-8")
    assert read_films(tmp_path) == [film]


def test_a_table_with_a_field_of_megabytes_is_one_error(tmp_path):
    (tmp_path / "films.csv").write_text("dataset,file\n" + "x" * 200_000 + ",y\n", "utf-8")
    with pytest.raises(DataError, match="run the audit again"):
        read_films(tmp_path)


@pytest.mark.parametrize(
    "record",
    ["[]", "[" * 100_000, "NaN", '{"step": 1}', json.dumps({"step": "x", "input": "HERE", "settings": {}, "hash": ""})],
)
def test_a_record_that_is_none_or_leads_to_itself_is_one_error(tmp_path, record):
    (tmp_path / steps.RECORD).write_text(record.replace("HERE", str(tmp_path)), "utf-8")
    with pytest.raises(DataError, match=r"step\.json|does not come from"):
        steps.find_input(tmp_path, "audit")

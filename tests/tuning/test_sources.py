"""Labelled films are read from every layout that the field uses, or an error says what is missing."""

import hashlib
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.film_kinds import dicom
from kneeoa_hub.errors import DataError
from kneeoa_hub.imaging.phantom import knee_film
from tuning.data.sources import FilmReader, read_labels
from tuning.data.table import read_films

NAMES = ("0Normal", "1Doubtful", "2Mild", "3Moderate", "4Severe")


@pytest.fixture(scope="module")
def oai(tmp_path_factory) -> Path:
    """Ten patients in the OAI layout, two knees each."""
    root = tmp_path_factory.mktemp("oai")
    for number in range(20):
        split = ("train", "train", "val", "test")[number // 5]
        for side in "LR":
            folder = root / split / str(number % 5)
            folder.mkdir(parents=True, exist_ok=True)
            film = knee_film(number % 5, 100 * number + ord(side), side={"L": "left", "R": "right"}[side])
            Image.fromarray(film.pixels).save(folder / f"{9000000 + number}{side}.png")
    return root


def test_the_oai_layout_gives_grade_patient_side_and_split(oai):
    film = next(film for film in read_labels([str(oai)]) if film.file == "val/2/9000012L.png")
    assert (film.dataset, film.grade, film.group, film.side, film.split) == ("oai", 2, "9000012", "left", "val")


def test_the_mendeley_layout_gives_the_grade(tmp_path):
    for grade, name in enumerate(NAMES):
        folder = tmp_path / "MedicalExpert-I" / name
        folder.mkdir(parents=True)
        Image.fromarray(knee_film(grade, grade).pixels).save(folder / f"{name[1:]}G{grade} (1).png")
    films = read_labels([str(tmp_path)])
    assert [film.grade for film in films] == [0, 1, 2, 3, 4]
    assert {film.dataset for film in films} == {"gornale"}
    assert [film.grade for film in read_labels([str(tmp_path / "MedicalExpert-I")])] == [0, 1, 2, 3, 4]


def test_archives_are_read_without_unpacking_as_their_folder_is(oai, tmp_path):
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        for path in oai.rglob("*.png"):
            archive.write(path, path.relative_to(oai))
    with tarfile.open(tmp_path / "films.tar", "w") as archive:
        archive.add(oai, arcname=".")
    plain = read_labels([str(oai)])
    for name in ("films.zip", "films.tar"):
        packed = read_labels([str(tmp_path / name)])
        assert [film.grade for film in packed] == [film.grade for film in plain]
        with FilmReader() as reader:
            assert reader.read(packed[3].source, packed[3].file) == (oai / plain[3].file).read_bytes()


def test_dicom_of_any_name_is_a_film_and_other_files_are_named(tmp_path, capsys):
    film = dicom(knee_film(2, 7, bits=16).pixels >> 4)
    folder = tmp_path / "films"
    for grade in range(5):
        (folder / str(grade)).mkdir(parents=True)
        (folder / str(grade) / "IM0001").write_bytes(film)
        (folder / str(grade) / "KNEE.IMA").write_bytes(film)
    for name in ("notes.txt", "photo.heic", ".DS_Store", "IM0001.graded.png"):
        (folder / "2" / name).write_bytes(b"text")
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        for path in folder.rglob("*.*"):
            archive.write(path, path.relative_to(folder))
        for path in folder.rglob("IM0001"):
            archive.write(path, path.relative_to(folder))
    with tarfile.open(tmp_path / "films.tgz", "w:gz") as archive:
        archive.add(folder, arcname=".")
    for source in (folder, tmp_path / "films.zip", tmp_path / "films.tgz"):
        films = read_labels([str(source)])
        assert sorted((film.grade, Path(film.file).name) for film in films) == [
            (grade, name) for grade in range(5) for name in ("IM0001", "KNEE.IMA")
        ]
        said = capsys.readouterr().err
        assert "skipped 3 other files" in said
        assert "IM0001.graded.png" in said
    digest = hashlib.sha256(film).hexdigest()
    rows = [f"sha256:{digest},{grade}" for grade in range(5)]
    (folder / "labels.csv").write_text("\n".join(["file,grade", *rows]), "utf-8")
    assert [film.grade for film in read_labels([str(folder / "labels.csv")])] == [0, 1, 2, 3, 4]


def test_a_csv_leads_to_files_and_into_archives(oai, tmp_path):
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        for path in oai.rglob("*.png"):
            archive.write(path, path.relative_to(oai))
    rows = [f"films.zip/train/{g}/900000{g}L.png,{g},p{g},left,train" for g in range(5)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,grade,group,side,split", *rows]), "utf-8")
    films = read_labels([str(tmp_path / "labels.csv")])
    assert [(film.grade, film.group, film.side, film.split) for film in films][:1] == [(0, "p0", "left", "train")]
    with FilmReader() as reader:
        assert reader.read(films[2].source, films[2].file) == (oai / "train/2/9000002L.png").read_bytes()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda root: (root / "notes.txt").write_text("x"), "no film in a folder of a grade"),
        (lambda root: None, "no film in a folder of a grade"),
        (lambda root: film_at(root / "7" / "a.png"), "the grade is '7'"),
        (lambda root: film_at(root / "0" / "a.png"), "none of grade 1"),
    ],
)
def test_folders_without_all_grades_are_an_error_that_says_which(tmp_path, make, said):
    make(tmp_path)
    with pytest.raises(DataError, match=said):
        read_labels([str(tmp_path)])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,kl\na,1\n", "has no rows with the columns file and grade"),
        ("file,grade\na.png,5\n", "line 2: the grade is '5'"),
        ("file,grade,split\na.png,1,later\n", "later"),
    ],
)
def test_a_wrong_csv_is_an_error_that_names_the_line(tmp_path, text, said):
    (tmp_path / "labels.csv").write_text(text, "utf-8")
    with pytest.raises(DataError, match=said):
        read_labels([str(tmp_path / "labels.csv")])


def test_an_error_names_a_missing_path():
    with pytest.raises(DataError, match="no-such-folder"):
        read_labels(["no-such-folder"])


def test_the_audit_finds_copies_and_lets_no_group_cross_a_split(tmp_path):
    from tuning.audit import audit

    for grade in range(5):
        for number in range(8):
            film_at(tmp_path / "films" / str(grade) / f"{number}.png", grade, 10 * grade + number)
    original = tmp_path / "films" / "1" / "0.png"
    (tmp_path / "films" / "1" / "copy.png").write_bytes(original.read_bytes())
    Image.open(original).save(tmp_path / "films" / "1" / "again.bmp")
    Image.fromarray(np.asarray(Image.open(original))[:, ::-1]).save(tmp_path / "films" / "1" / "mirrored.png")
    (tmp_path / "films" / "2" / "broken.png").write_bytes(original.read_bytes()[:500])
    out = audit([str(tmp_path / "films")], tmp_path / "audit")
    films = {film.file: film for film in read_films(out)}
    group = films["1/0.png"].group
    assert {films[name].group for name in ("1/copy.png", "1/again.bmp", "1/mirrored.png")} == {group}
    assert films["1/1.png"].group != group
    splits = {film.group: set() for film in films.values()}
    for film in films.values():
        splits[film.group].add(film.split)
    assert all(len(found) == 1 for found in splits.values())
    assert {film.split for film in films.values()} == {"train", "val", "test"}
    report = (out / "report.md").read_text("utf-8")
    assert "broken.png" in report
    assert "byte copies: 1; pixel copies: 2" in report


def film_at(path: Path, grade: int = 0, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(knee_film(grade, seed).pixels).save(path)

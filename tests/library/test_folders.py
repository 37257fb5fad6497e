"""Which files of a folder are films: DICOM of any name, in linked folders too; and the films that a DICOMDIR lists."""

import io
import os
from pathlib import Path

import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from benchmarks.film_kinds import bare, dicom
from kneeoa_hub.errors import FilmError
from kneeoa_hub.imaging.folders import films_of

from ..support.dicom_films import knee


@pytest.fixture(scope="module")
def film() -> bytes:
    return dicom(knee())


def put(folder: Path, **files: bytes) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def names(folder: Path) -> list[str]:
    return [Path(film).relative_to(folder).as_posix() for film in films_of([str(folder)])[0]]


def test_dicom_with_any_suffix_is_a_film_and_other_files_are_not(film: bytes, tmp_path: Path):
    put(tmp_path, IM0001=film, KNEE_dot_IMA=film, a_dot_img=film, b_dot_bin=film, c_dot_txt=b"text", bare=bare(film))
    put(tmp_path, d_dot_bin=bare(film))  # without the mark it may be anything
    assert names(tmp_path) == ["IM0001", "KNEE.IMA", "a.img", "b.bin", "bare"]
    assert films_of([str(tmp_path)])[1] == [
        f"{tmp_path}: skipped 2 other files (hidden, or no film by suffix and not DICOM): c.txt, d.bin."
    ]


def test_what_systems_write_beside_films_is_skipped(film: bytes, tmp_path: Path):
    png = io.BytesIO()
    Image.new("L", (200, 200)).save(png, "PNG")
    apple = b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(60)
    put(tmp_path, knee_dot_png=png.getvalue(), scan_dot_dcm=film)
    put(tmp_path, **{"._knee.png": apple, "._scan.dcm": apple})
    for folder in ("__MACOSX", ".AppleDouble", "@eaDir/knee.png", "#recycle", "$RECYCLE.BIN", ".thumbnails"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "small.jpg").write_bytes(png.getvalue())
    assert names(tmp_path) == ["knee.png", "scan.dcm"]


@pytest.mark.skipif(os.name != "posix", reason="links need a privilege on Windows")
def test_linked_folders_are_read_once_and_a_folder_that_cannot_be_read_is_named(film: bytes, tmp_path: Path):
    put(tmp_path / "elsewhere", one_dot_dcm=film)
    folder = put(tmp_path / "films", two_dot_dcm=film, deep__three_dot_dcm=film)
    (folder / "patient2").symlink_to(tmp_path / "elsewhere")
    (folder / "again").symlink_to(folder / "deep")
    (folder / "loop").symlink_to(folder)
    (folder / "file.dcm").symlink_to(tmp_path / "elsewhere/one.dcm")
    (folder / "gone.dcm").symlink_to(tmp_path / "nowhere")
    assert names(folder) == ["deep/three.dcm", "file.dcm", "patient2/one.dcm", "two.dcm"]
    assert films_of([str(folder)])[1] == [f"{folder / 'gone.dcm'}: this link leads nowhere, so it is left out."]


def test_a_folder_that_cannot_be_read_is_named(film: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(tmp_path, one_dot_dcm=film, closed__two_dot_dcm=film)
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):  # a test that runs as root can't take the permission away
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    films, notes = films_of([str(tmp_path)])
    assert films == [str(tmp_path / "one.dcm")]
    assert notes == [f"{tmp_path / 'closed'}: this folder can't be read, so its films are left out."]


def dicomdir(*files: tuple[str, str | list[str] | None]) -> bytes:
    """A DICOMDIR of records: type, and the parts of the path that it names."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    records = []
    for kind, parts in files:
        record = Dataset()
        record.DirectoryRecordType = kind
        if parts:
            record.ReferencedFileID = parts
        records.append(record)
    dataset.DirectoryRecordSequence = records
    content = io.BytesIO()
    pydicom.dcmwrite(content, dataset, enforce_file_format=True)
    return content.getvalue()


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")  # of the path that leads out of the disk
def test_a_dicomdir_stands_for_the_films_that_it_lists(film: bytes, tmp_path: Path):
    disk = put(tmp_path / "cd", DICOM__S1__IM0001=film, DICOM__S1__im0002=film, DICOM__S1__IM0009=film)
    put(tmp_path, secret=film)
    records = (("PATIENT", None), ("IMAGE", ["DICOM", "S1", "IM0001"]), ("IMAGE", ["DICOM", "S1", "IM0002"]))
    further = (("SR DOCUMENT", ["DICOM", "S1", "IM0009"]), ("IMAGE", ["DICOM", "IM0003"]), ("IMAGE", ["..", "secret"]))
    put(disk, DICOMDIR=dicomdir(*records, *further))
    films, notes = films_of([str(disk / "DICOMDIR")])
    assert films == [str(disk / "DICOM/S1/IM0001"), str(disk / "DICOM/S1/im0002")]
    assert notes == [f"{disk / 'DICOMDIR'}: 2 of the 4 films that it lists are missing."]
    assert names(disk) == ["DICOM/S1/IM0001", "DICOM/S1/IM0009", "DICOM/S1/im0002"]
    put(tmp_path / "empty", DICOMDIR=dicomdir(("IMAGE", "IM0001")))
    with pytest.raises(FilmError, match="lists no film beside it"):
        films_of([str(tmp_path / "empty/DICOMDIR")])

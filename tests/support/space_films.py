"""A synthetic film is written in every form that is taken, beside files that can't be graded."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from kneeoa_hub.imaging.phantom import knee_film, sample_films

FILES = (
    "PNG",
    "PNG of 16 bits",
    "TIFF of 16 bits",
    "JPEG",
    "WebP",
    "BMP",
    "DICOM",
    "inverted DICOM",
    "colour photograph",
    "blank",
)


def film_files(folder: Path) -> dict[str, Path]:
    """Return files by the names in FILES."""
    films = sample_films()
    plain, deep = (Image.fromarray(films[name].pixels) for name in ("moderate", "sixteen-bit"))
    paths = {name: folder / f"film-{number}" for number, name in enumerate(FILES)}
    for name in ("PNG", "JPEG", "WebP", "BMP"):
        plain.save(paths[name], name)
    deep.save(paths["PNG of 16 bits"], "PNG")
    deep.save(paths["TIFF of 16 bits"], "TIFF")
    paths["DICOM"].write_bytes(dicom(films["sixteen-bit"].pixels))
    paths["inverted DICOM"].write_bytes(dicom(65535 - films["sixteen-bit"].pixels, inverted=True))
    rainbow = np.indices((300, 300)).sum(0)[..., None] * np.array([1, 3, 5])
    Image.fromarray((rainbow % 256).astype(np.uint8)).save(paths["colour photograph"], "PNG")
    Image.new("L", (300, 300), 90).save(paths["blank"], "PNG")
    return paths


def dicom(pixels: np.ndarray, *, inverted: bool = False) -> bytes:
    """Return a left knee as a DICOM file. pixels: [H,W] uint16."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["film"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    image.Rows, image.Columns = pixels.shape
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation, image.SamplesPerPixel = 15, 0, 1
    image.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    image.ImageLaterality = "L"
    image.PixelData = pixels.astype("<u2").tobytes()
    file = io.BytesIO()
    image.save_as(file, enforce_file_format=True)
    return file.getvalue()


BAD = {
    "notes.txt": "not an image",
    "empty.png": "is empty",
    "cut.png": "truncated or damaged",
    "small.png": "at least 128 px",
    "pages.tif": "has several frames",
    "broken.dcm": "DICOM",
}
"""These files can't be graded; each error says this."""


def bad_file(name: str) -> bytes:
    if name == "notes.txt":
        return b"nothing of the kind"
    if name == "empty.png":
        return b""
    if name == "cut.png":
        whole = _saved(Image.fromarray(knee_film(2, 1).pixels), "PNG")
        return whole[: len(whole) // 2]
    if name == "small.png":
        return _saved(Image.new("L", (64, 48)), "PNG")
    if name == "pages.tif":
        frame = Image.new("L", (200, 200))
        return _saved(frame, "TIFF", save_all=True, append_images=[frame])
    return bytes(128) + b"DICM" + b"\x99" * 40


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()

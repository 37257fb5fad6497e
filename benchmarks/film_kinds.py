"""One film is written in every kind of file that holds radiographs, to test the reader with."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
import tifffile
from imagecodecs import jpeg2k_encode, jpeg8_encode, jpegls_encode, png_encode
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    UID,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    generate_uid,
)

PATIENT, PATIENT_ID = "DOE^JANE", "12345"
ORIENTATION = 0x0112
UNCOMPRESSED = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
LOSSLESS = (*UNCOMPRESSED, RLELossless, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless)
LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000)
OPAQUE = 65535
PREAMBLE = 132
"""A DICOM file has this many bytes before its first element."""


@dataclass(frozen=True)
class FilmFile:
    """A film file is a film in one kind of file.

    Attributes:
        form: PNG, JPEG, TIFF, BMP, WebP or DICOM.
        kind: What is particular about the file.
        content: Its bytes.
        exact: Whether it keeps every value of the film.
    """

    form: str
    kind: str
    content: bytes
    exact: bool = True


def film_files(deep: np.ndarray) -> Iterator[FilmFile]:
    """Yield every kind of file of a film [H,W] uint16 with bright bone.

    An exact file of 8 bits holds its upper eight bits, one of 12 bits its upper twelve.
    """
    yield from _pictures(deep)
    yield from _turned(deep)
    yield from _dicoms(deep)


def eight(deep: np.ndarray) -> np.ndarray:
    """Return the upper eight of sixteen bits."""
    return (deep >> 8).astype(np.uint8)


def marked(pixels: np.ndarray) -> np.ndarray:
    """Return a film [H,W] uint16 with a small marker of the highest value in a corner, as machines add it."""
    film = pixels.copy()
    film[2:6, 2:10] = OPAQUE
    return film


def picture(pixels: np.ndarray | Image.Image, form: str, **options: Any) -> bytes:
    """Return a file that Pillow writes."""
    content = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(content, form, **options)
    return content.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    """Return a file that tifffile writes."""
    content = io.BytesIO()
    tifffile.imwrite(content, pixels, **options)
    return content.getvalue()


def _pictures(deep: np.ndarray) -> Iterator[FilmFile]:
    gray, image = eight(deep), Image.fromarray(eight(deep))
    alpha = np.full_like(deep, OPAQUE)
    rgb, la = np.stack([deep] * 3, -1), np.stack([deep, alpha], -1)
    rgba = np.concatenate([rgb, alpha[..., None]], -1)
    yield FilmFile("PNG", "8-bit gray", picture(gray, "PNG"))
    yield FilmFile("PNG", "16-bit gray", picture(deep, "PNG"))
    for mode, name in (("LA", "gray and alpha"), ("RGB", "RGB"), ("RGBA", "RGBA"), ("P", "palette")):
        yield FilmFile("PNG", f"8-bit {name}", picture(image.convert(mode), "PNG"))
    for values, name in ((la, "gray and alpha"), (rgb, "RGB"), (rgba, "RGBA")):
        yield FilmFile("PNG", f"16-bit {name}", bytes(png_encode(values)))
    for options, name in (({}, "gray"), ({"progressive": True}, "gray, progressive")):
        yield FilmFile("JPEG", f"8-bit {name}", picture(gray, "JPEG", quality=97, **options), exact=False)
    for mode in ("RGB", "CMYK"):
        yield FilmFile("JPEG", f"8-bit {mode}", picture(image.convert(mode), "JPEG", quality=97), exact=False)
    for values, bits in ((gray, 8), (deep, 16)):
        for compression in (None, "lzw", "zlib", "zstd"):
            yield FilmFile(
                "TIFF", f"{bits}-bit gray, {compression or 'uncompressed'}", tiff(values, compression=compression)
            )
        yield FilmFile("TIFF", f"{bits}-bit gray, big-endian", tiff(values, byteorder=">"))
        yield FilmFile("TIFF", f"{bits}-bit gray, white is zero", tiff(values.max() - values, photometric="miniswhite"))
    raised = (deep >> 4) + np.uint16(20000)
    yield FilmFile("PNG", "12-bit gray above 20000", picture(raised, "PNG"))
    yield FilmFile("TIFF", "32-bit float", tiff(deep.astype(np.float32)))
    for mode, name in (("LA", "gray and alpha"), ("RGB", "RGB"), ("RGBA", "RGBA"), ("P", "palette")):
        yield FilmFile("TIFF", f"8-bit {name}", picture(image.convert(mode), "TIFF"))
    for values, name in ((la, "gray and alpha"), (rgb, "RGB"), (rgba, "RGBA")):
        about: dict[str, Any] = {
            "photometric": "minisblack" if values is la else "rgb",
            "extrasamples": None if values is rgb else ["unassalpha"],
        }
        yield FilmFile("TIFF", f"16-bit {name}", tiff(values, **about))
        yield FilmFile(
            "TIFF",
            f"16-bit {name}, big-endian, LZW",
            tiff(values, byteorder=">", compression="lzw", predictor=True, **about),
        )
        yield FilmFile(
            "TIFF", f"16-bit {name}, in planes", tiff(np.moveaxis(values, -1, 0), planarconfig="separate", **about)
        )
    for mode, name in (("L", "gray"), ("RGB", "RGB"), ("RGBA", "RGBA"), ("P", "palette")):
        yield FilmFile("BMP", f"8-bit {name}", picture(image.convert(mode), "BMP"))
    for mode in ("RGB", "RGBA"):
        yield FilmFile("WebP", f"8-bit {mode}, lossless", picture(image.convert(mode), "WEBP", lossless=True))
    yield FilmFile("WebP", "8-bit RGB, lossy", picture(image.convert("RGB"), "WEBP", quality=97), exact=False)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return the pixels as a camera stores them with an EXIF orientation, 1 to 8."""
    back = {5: np.transpose, 6: np.rot90, 7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a, -1)}
    forth = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud}
    return np.ascontiguousarray((back | forth)[orientation](pixels))


def _turned(deep: np.ndarray) -> Iterator[FilmFile]:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        gray, name = turned(eight(deep), orientation), f"EXIF orientation {orientation}"
        yield FilmFile("PNG", f"8-bit, {name}", picture(gray, "PNG", exif=exif))
        yield FilmFile("JPEG", f"8-bit, {name}", picture(gray, "JPEG", quality=97, exif=exif), exact=False)
        yield FilmFile(
            "TIFF", f"16-bit, {name}", picture(turned(deep, orientation), "TIFF", tiffinfo={ORIENTATION: orientation})
        )
        yield FilmFile(
            "WebP", f"8-bit, {name}", picture(Image.fromarray(gray).convert("RGB"), "WEBP", lossless=True, exif=exif)
        )


def _dicoms(deep: np.ndarray) -> Iterator[FilmFile]:
    for bits in (8, 12, 16):
        stored = deep >> (16 - bits)
        pixels = stored.astype(np.uint8) if bits == 8 else stored
        about: dict[str, Any] = {"BitsStored": bits, "HighBit": bits - 1}
        for syntax in LOSSLESS:
            if bits == 16 and syntax == JPEGLossless:
                continue  # as JPEGLosslessSV1
            yield FilmFile("DICOM", f"{bits}-bit, {syntax.name}", dicom(pixels, syntax, **about))
        for syntax in LOSSY:
            if bits in {JPEGBaseline8Bit: (8,), JPEGExtended12Bit: (12,)}.get(syntax, (8, 12, 16)):
                yield FilmFile("DICOM", f"{bits}-bit, {syntax.name}", dicom(pixels, syntax, **about), exact=False)
    twelve = deep >> 4
    about: dict[str, Any] = {"BitsStored": 12, "HighBit": 11}
    for syntax in (ExplicitVRLittleEndian, JPEGLosslessSV1, JPEG2000Lossless):
        yield FilmFile(
            "DICOM",
            f"12-bit MONOCHROME1, {syntax.name}",
            dicom(4095 - twelve, syntax, PhotometricInterpretation="MONOCHROME1", **about),
        )
    signed = (twelve.astype(np.int16) - 2048).view(np.uint16) & 4095
    for syntax in (ExplicitVRLittleEndian, RLELossless, JPEGLosslessSV1):
        yield FilmFile("DICOM", f"12-bit signed, {syntax.name}", dicom(signed, syntax, PixelRepresentation=1, **about))
    yield FilmFile(
        "DICOM",
        "12-bit with rescale slope",
        dicom(twelve, RescaleSlope=2, RescaleIntercept=-1000, RescaleType="US", **about),
    )
    window: dict[str, Any] = {"WindowCenter": 2048, "WindowWidth": 4096}
    yield FilmFile("DICOM", "12-bit with a window", dicom(twelve, **window, **about))
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 16], list(range(0, 65536, 16))
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    yield FilmFile("DICOM", "12-bit with a VOI table", dicom(twelve, VOILUTSequence=[table], **about))
    padded = np.pad(np.minimum(twelve, 4094), ((0, 0), (deep.shape[1] // 8,) * 2), constant_values=4095)
    yield FilmFile("DICOM", "12-bit with pixel padding", dicom(padded, PixelPaddingValue=4095, **about), exact=False)
    for syntax in (ExplicitVRLittleEndian, JPEGLosslessSV1):
        yield FilmFile("DICOM", f"12-bit without preamble, {syntax.name}", dicom(twelve, syntax, **about)[PREAMBLE:])
    for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        yield FilmFile("DICOM", f"12-bit, data set alone, {syntax.name}", bare(dicom(twelve, syntax, **about)))
    yield from _in_part_of_its_cells(twelve)
    yield from _far_from_zero(twelve)


def _in_part_of_its_cells(twelve: np.ndarray) -> Iterator[FilmFile]:
    """Yield a 12-bit film [H,W] in cells of 16 bits that hold other data too, or in the upper bits of its cells."""
    below, upper = {"BitsStored": 12, "HighBit": 11}, {"BitsStored": 12, "HighBit": 15}
    overlay = twelve | (np.indices(twelve.shape).sum(0) % 7 == 0).astype(np.uint16) << 12
    for syntax in (
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        RLELossless,
        JPEGLosslessSV1,
        JPEGLSLossless,
        JPEG2000Lossless,
    ):
        yield FilmFile(
            "DICOM", f"12-bit with an overlay in the bits above, {syntax.name}", dicom(overlay, syntax, **below)
        )
        yield FilmFile(
            "DICOM", f"12-bit in the upper bits of 16, {syntax.name}", dicom(twelve << 4 | 5, syntax, **upper)
        )
    signed = (twelve.astype(np.int16) - 2048).view(np.uint16)
    for syntax in (ExplicitVRLittleEndian, RLELossless):
        yield FilmFile(
            "DICOM",
            f"12-bit signed with an overlay in the bits above, {syntax.name}",
            dicom(signed & 4095 | overlay & 4096, syntax, PixelRepresentation=1, **below),
        )
        yield FilmFile(
            "DICOM",
            f"12-bit signed in the upper bits of 16, {syntax.name}",
            dicom(signed << 4, syntax, PixelRepresentation=1, **upper),
        )


def _far_from_zero(twelve: np.ndarray) -> Iterator[FilmFile]:
    """Yield a film [H,W] of 12 bits whose zero, padding or marker is far from its grays."""
    negative: dict[str, Any] = {"PhotometricInterpretation": "MONOCHROME1"}
    padded = np.pad(4095 - twelve, ((0, 0), (twelve.shape[1] // 8,) * 2), constant_values=OPAQUE)
    yield FilmFile(
        "DICOM", "12-bit MONOCHROME1 with pixel padding of 65535", dicom(padded, PixelPaddingValue=OPAQUE, **negative)
    )
    yield FilmFile(
        "DICOM", "12-bit MONOCHROME1 with a marker of 65535", dicom(marked(4095 - twelve), **negative), exact=False
    )
    yield FilmFile("DICOM", "12-bit above 8000 of 14 bits", dicom(twelve + np.uint16(8000), BitsStored=14, HighBit=13))
    for intercept in (-30000, 30000):
        about = {"RescaleSlope": 1, "RescaleIntercept": intercept, "RescaleType": "US", "BitsStored": 12, "HighBit": 11}
        yield FilmFile("DICOM", f"12-bit with a rescale intercept of {intercept}", dicom(twelve, **about))


def dicom(
    pixels: np.ndarray, syntax: UID = ExplicitVRLittleEndian, end: int | None = None, /, **header: object
) -> bytes:
    """Return a digital radiograph in DICOM.

    Args:
        pixels: Its cells, [H,W] uint8 or uint16.
        syntax: The transfer syntax.
        end: Where the compressed frame is cut off; None keeps it whole.
        header: Further elements.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax if syntax in UNCOMPRESSED else ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid(entropy_srcs=["kneeoa"])
    dataset.PatientName, dataset.PatientID, dataset.Modality = PATIENT, PATIENT_ID, "DX"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    dataset["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    stored = int(header.get("BitsStored", dataset.BitsStored))  # pyright: ignore[reportArgumentType]
    # A compressed frame holds whatever else is in the cells too.
    bits = max(stored, int(pixels.max()).bit_length())
    if syntax == RLELossless:
        dataset.compress(syntax, generate_instance_uid=False)
    elif syntax not in UNCOMPRESSED:
        dataset.PixelData = encapsulate([_frame(pixels, syntax, bits)[:end]])
        dataset["PixelData"].VR, dataset.file_meta.TransferSyntaxUID = "OB", syntax
    for name, value in header.items():
        setattr(dataset, name, value)
    content = io.BytesIO()
    pydicom.dcmwrite(content, dataset, enforce_file_format=True)
    return content.getvalue()


def bare(film: bytes) -> bytes:
    """Return the data set of an uncompressed DICOM file alone, without the header that names its syntax."""
    dataset = pydicom.dcmread(io.BytesIO(film))
    content = io.BytesIO()
    pydicom.dcmwrite(
        content,
        Dataset(dataset),
        implicit_vr=dataset.original_encoding[0],
        little_endian=True,
        enforce_file_format=False,
    )
    return content.getvalue()


def _frame(pixels: np.ndarray, syntax: UID, bits: int) -> bytes:
    if syntax in (JPEGLSLossless, JPEGLSNearLossless):
        return bytes(jpegls_encode(pixels, level=0 if syntax == JPEGLSLossless else 2))
    if syntax in (JPEG2000Lossless, JPEG2000):
        lossless = syntax == JPEG2000Lossless
        level = 0 if lossless else 60
        return bytes(jpeg2k_encode(pixels, codecformat="J2K", bitspersample=bits, reversible=lossless, level=level))
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        return bytes(jpeg8_encode(pixels, level=97, bitspersample=bits))
    return bytes(jpeg8_encode(pixels, lossless=True, bitspersample=bits))

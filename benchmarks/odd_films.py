"""Earlier versions misread or refused these films, one file of each kind; docs/inputs.md shows them before and now.

    python -m benchmarks.odd_films > benchmarks/odd_films_before.json

The command prints what the installed version makes of each file, so that a version can be compared with an earlier one.
Every file holds the same synthetic knee.
"""

import io
import json
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pydicom
from imagecodecs import htj2k_encode, jpeg8_encode, jpegls_encode
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEGBaseline8Bit,
    JPEGLSNearLossless,
    RLELossless,
)

from kneeoa_hub import KneeGrader, KneeOAError, from_pretrained
from kneeoa_hub.imaging.phantom import knee_film

from .film_kinds import dicom, eight, picture, tiff

UNCOMPRESSED, DEFLATE = 1, 8


def packed_tiff(values: np.ndarray, bits: int, order: str = "<", compression: int = UNCOMPRESSED) -> bytes:
    """Return a gray TIFF [H,W] in three strips whose values take `bits` each, the highest first.

    Args:
        values: Whole numbers below 2 ** bits.
        bits: Bits of a value.
        order: "<" or ">" for the numbers of the header.
        compression: UNCOMPRESSED or DEFLATE.
    """
    height, width = values.shape
    rows = -(-height // 3)
    spread = (values[..., None] >> np.arange(bits - 1, -1, -1) & 1).reshape(height, -1).astype(np.uint8)
    strips = [np.packbits(spread[top : top + rows], axis=1).tobytes() for top in range(0, height, rows)]
    strips = [zlib.compress(strip) for strip in strips] if compression == DEFLATE else strips
    starts = np.cumsum([8, *map(len, strips)]).tolist()
    short, long = (3, "H"), (4, "I")
    tags = [
        *((256, short, [width]), (257, short, [height]), (258, short, [bits]), (259, short, [compression])),
        *((262, short, [1]), (273, long, starts[:-1]), (277, short, [1]), (278, short, [rows])),
        (279, long, [len(strip) for strip in strips]),
    ]
    directory, further = b"", b""
    behind = starts[-1] + 2 + 12 * len(tags) + 4
    for number, (kind, letter), numbers in tags:
        value = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        if len(value) > 4:
            further, value = further + value, struct.pack(f"{order}I", behind + len(further))
        directory += struct.pack(f"{order}HHI", number, kind, len(numbers)) + value.ljust(4, b"\0")
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(f"{order}I", starts[-1]) + b"".join(strips)
    return head + struct.pack(f"{order}H", len(tags)) + directory + bytes(4) + further


def framed(pixels: np.ndarray, frame: bytes | bytearray, syntax: UID, /, **header: object) -> bytes:
    """Return a digital radiograph around another frame.

    Args:
        pixels: The film [H,W].
        frame: The compressed frame in place of its pixels.
        syntax: The transfer syntax that the frame is compressed with.
        header: Elements of the header, by keyword.
    """
    dataset = pydicom.dcmread(io.BytesIO(dicom(pixels, **header)))
    dataset.PixelData = encapsulate([bytes(frame)])
    dataset["PixelData"].VR, dataset.file_meta.TransferSyntaxUID = "OB", syntax
    return saved(dataset)


def saved(dataset: Dataset) -> bytes:
    """Return a data set as a DICOM file."""
    content = io.BytesIO()
    pydicom.dcmwrite(content, dataset, enforce_file_format=True)
    return content.getvalue()


def coded(value: str, meaning: str) -> list[Dataset]:
    """Return a sequence of one concept of SNOMED CT."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return [item]


def answer(grader: KneeGrader, content: bytes) -> str:
    """Return what a grader makes of a file, in a few words."""
    try:
        report = grader.grade(content)
    except KneeOAError as error:
        return f"error `{error.code}`"
    if report.refused:
        return f"refused `{report.refused.reason}`"
    grades = ", ".join(f"KL {knee.grade}" for knee in report.knees)
    return f"{grades}, warned" if report.warnings else grades


def odd_films() -> Iterator[tuple[str, bytes]]:
    """Yield the name of each kind and a file of it; the first one is an ordinary film."""
    deep = knee_film(3, 10, height=448, width=448, bits=16).pixels
    yield "DICOM of 12 bits, as it should be", dicom(deep >> 4, BitsStored=12, HighBit=11)
    yield from _shapes(deep)
    yield "DICOM of 16 bits, Bits Stored 9", dicom(deep, BitsStored=9, HighBit=8)
    signed = (deep.astype(np.int32) - 32768).astype(np.int16).view(np.uint16)
    yield "DICOM of signed 16 bits, said to be unsigned 15", dicom(signed, BitsStored=15, HighBit=14)
    yield from _headers(deep >> 4)
    yield from _compressed(eight(deep), deep >> 4)
    yield from _in_three_channels(eight(deep))
    yield from _tiffs(deep)


def _shapes(deep: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """Yield pixels that are twice as high as wide."""
    rows = np.ascontiguousarray(deep[::2])
    yield "DICOM, Pixel Aspect Ratio 2\\1", dicom(rows, PixelAspectRatio=["2", "1"])
    fourth = np.ascontiguousarray(deep[::4])
    yield "DICOM of 448 x 112 px, Pixel Aspect Ratio 4\\1", dicom(fourth, PixelAspectRatio=["4", "1"])
    yield "DICOM, Imager Pixel Spacing 0.2\\0.1", dicom(rows, ImagerPixelSpacing=["0.2", "0.1"])
    group, measures = Dataset(), Dataset()
    measures.PixelSpacing, group.PixelMeasuresSequence = ["0.2", "0.1"], [measures]
    yield "DICOM, Pixel Spacing 0.2\\0.1 of its frame", dicom(rows, PerFrameFunctionalGroupsSequence=[group])
    for form in ("TIFF", "PNG", "JPEG", "BMP"):
        about = {"quality": 97} if form == "JPEG" else {}
        yield f"{form} of 200 x 100 dpi", picture(eight(rows), form, dpi=(200, 100), **about)


def _headers(twelve: np.ndarray) -> Iterator[tuple[str, bytes]]:
    bits = {"BitsStored": 12, "HighBit": 11}
    signed = (twelve.astype(np.int32) - 2048).astype(np.int16).view(np.uint16)
    yield "DICOM of 12 bits, Bits Stored 11", dicom(twelve, BitsStored=11, HighBit=10)
    yield "DICOM of 12 bits, High Bit 15", dicom(twelve, BitsStored=12, HighBit=15)
    yield "DICOM of unsigned values said to be signed", dicom(twelve, PixelRepresentation=1, **bits)
    yield "DICOM of signed values said to be unsigned", dicom(signed, **bits)
    yield "DICOM, View Code Sequence lateral", dicom(twelve, ViewCodeSequence=coded("399067008", "lateral"), **bits)
    yield "DICOM, Patient Orientation A\\F", dicom(twelve, PatientOrientation=["A", "F"], **bits)
    yield (
        "DICOM, Presentation Intent Type FOR PROCESSING",
        dicom(twelve, PresentationIntentType="FOR PROCESSING", **bits),
    )
    yield "DICOM, View Position seitlich", dicom(twelve, ViewPosition="SEITLICH", **bits)
    yield "DICOM, View Position TUNNEL", dicom(twelve, ViewPosition="TUNNEL", **bits)
    yield "DICOM, Series Description Genou profil", dicom(twelve, SeriesDescription="Genou profil", **bits)
    yield "DICOM, Body Part Examined HUEFTE", dicom(twelve, BodyPartExamined="HUEFTE", **bits)
    yield "DICOM of 12 bits, Bits Stored 4", dicom(twelve, BitsStored=4, HighBit=3)
    yield "DICOM of 12 bits, Bits Allocated 12", dicom(twelve, BitsAllocated=12, **bits)
    yield "DICOM of 12 bits, Bits Allocated 32", dicom(twelve, BitsAllocated=32, **bits)
    yield (
        "DICOM, Anatomic Region Sequence hand",
        dicom(twelve, AnatomicRegionSequence=coded("85562004", "Main"), **bits),
    )
    yield "DICOM, empty rescale slope and intercept", dicom(twelve, RescaleSlope="", RescaleIntercept="", **bits)
    comma = dicom(twelve, RescaleSlope="1.0 ", RescaleIntercept="0", **bits)
    yield "DICOM, rescale slope 1,0", comma.replace(b"1.0 ", b"1,0 ", 1)
    table, short = Dataset(), Dataset()
    for item, entries in ((table, 4096), (short, 100)):
        item.add_new("LUTDescriptor", "US", [4096, 0, 12])
        item.add_new("LUTData", "OW", np.arange(entries, dtype="<u2").tobytes())
    yield "DICOM, modality table of 12 bits", dicom(twelve, ModalityLUTSequence=[table], **bits)
    yield "DICOM, VOI table that is cut off", dicom(twelve, VOILUTSequence=[short], **bits)
    dataset = pydicom.dcmread(io.BytesIO(dicom(twelve, **bits)))
    del dataset.PixelRepresentation
    yield "DICOM without Pixel Representation", saved(dataset)


def _compressed(gray: np.ndarray, twelve: np.ndarray) -> Iterator[tuple[str, bytes]]:
    for quality in (60, 30, 20, 10):
        yield f"JPEG of quality {quality}", picture(gray, "JPEG", quality=quality)
    for ratio in (20, 40, 80):
        options = {"irreversible": True, "quality_mode": "rates", "quality_layers": [ratio]}
        yield f"DICOM, JPEG 2000 of 1:{ratio}", framed(gray, picture(gray, "JPEG2000", **options), JPEG2000)
    options = {"irreversible": False, "quality_mode": "rates", "quality_layers": [160]}
    yield "DICOM, reversible JPEG 2000 of 1:160", framed(gray, picture(gray, "JPEG2000", **options), JPEG2000)
    lossy = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "80"}
    yield "DICOM, compressed to 1:80 before, as its header says", dicom(gray, **lossy)
    for error in (5, 15):
        yield (
            f"DICOM, JPEG-LS with errors of {error}",
            framed(gray, jpegls_encode(gray, level=error), JPEGLSNearLossless),
        )
    for quality in (75, 10):
        yield f"WebP of quality {quality}", picture(gray, "WEBP", quality=quality)
    frame = jpegls_encode(gray)
    yield "DICOM, JPEG-LS said to be JPEG 2000", framed(gray, frame, JPEG2000)
    yield "DICOM, JPEG-LS said to be uncompressed", framed(gray, frame, ExplicitVRLittleEndian)
    frame = jpeg8_encode(gray, level=95)
    yield "DICOM, JPEG with a space behind its end", framed(gray, frame + b" ", JPEGBaseline8Bit)
    yield "DICOM, HTJ2K", framed(twelve, htj2k_encode(twelve), HTJ2KLossless, BitsStored=12, HighBit=11)
    dataset = pydicom.dcmread(io.BytesIO(dicom(twelve, BitsStored=12, HighBit=11)))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    yield "DICOM, deflated", saved(dataset)


def _in_three_channels(gray: np.ndarray) -> Iterator[tuple[str, bytes]]:
    rgb = np.stack([gray] * 3, -1)
    about = {"SamplesPerPixel": 3, "PlanarConfiguration": 0}
    dataset = pydicom.dcmread(
        io.BytesIO(dicom(gray, PixelData=rgb.tobytes(), PhotometricInterpretation="RGB", **about))
    )
    dataset.compress(RLELossless, generate_instance_uid=False)
    yield "DICOM, gray film as RGB in RLE", saved(dataset)
    frame = jpeg8_encode(rgb, level=95)
    yield (
        "DICOM, gray film as YBR in JPEG",
        framed(gray, frame, JPEGBaseline8Bit, PhotometricInterpretation="YBR_FULL_422", **about),
    )
    palette = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [256, 0, 16]), ("Data", (np.arange(256) * 257).astype("<u2").tobytes()))
    }
    yield "DICOM, gray film with a palette", dicom(gray, PhotometricInterpretation="PALETTE COLOR", **palette)
    line = np.array([0, 1, 0, 1, 255, 65535], "<u2").tobytes()  # an entry, and a line to the last one
    for name in [name for name in palette if name.endswith("Data")]:
        palette[f"Segmented{name}"] = line
        del palette[name]
    yield (
        "DICOM, gray film with a palette in segments",
        dicom(gray, PhotometricInterpretation="PALETTE COLOR", **palette),
    )
    for name, tone in (("on blue base", (0.85, 0.95, 1.0)), ("in sepia", (1.35, 1.2, 0.94))):
        toned = np.clip(gray[..., None] * np.array(tone), 0, 255).astype(np.uint8)
        yield f"PNG, film {name}", picture(toned, "PNG")
    noisy = gray[..., None] * np.array((0.7, 0.8, 0.8)) + (20, 35, 51)
    noisy += np.random.default_rng(0).normal(0, 4, noisy.shape)
    yield "PNG, film on blue base with the noise of a scanner", picture(np.clip(noisy, 0, 255).astype(np.uint8), "PNG")


def _tiffs(deep: np.ndarray) -> Iterator[tuple[str, bytes]]:
    yield "TIFF of signed 8 bits", tiff((eight(deep).astype(np.int16) - 128).astype(np.int8))
    yield "TIFF of unsigned 32 bits", tiff(deep.astype(np.uint32) << 16)
    for kind in ("uint64", "float16", "float64"):
        yield f"TIFF of {kind}", tiff((deep / 65535 if kind[0] == "f" else deep).astype(kind))
    signed = (deep.astype(np.int32) - 32768).astype(np.int16)
    yield "TIFF of signed 16 bits, deflated, big-endian", tiff(signed, byteorder=">", compression="zlib")
    for order, name in (("<", "little-endian"), (">", "big-endian")):
        yield f"TIFF of 12 packed bits, {name}", packed_tiff(deep >> 4, 12, order)
    yield "TIFF in LERC", tiff(deep, compression="lerc")
    for codec in ("jpeg2000", "png"):
        yield f"TIFF in {codec}", tiff(deep, compression=codec, compressionargs={"level": 0})
    yield "TIFF in JPEG of 12 bits", tiff(deep >> 4, compression="jpeg", compressionargs={"level": 95})
    yield "TIFF in YCbCr", picture(Image.fromarray(eight(deep)).convert("RGB").convert("YCbCr"), "TIFF")
    yield "TIFF in JPEG XL", tiff(eight(deep), compression="jpegxl")
    unmarked = Image.fromarray(eight(deep)).reduce(2)
    yield (
        "TIFF with a preview that is not marked",
        picture(Image.fromarray(eight(deep)), "TIFF", save_all=True, append_images=[unmarked]),
    )
    preview = Image.fromarray(eight(deep)[::2, ::2])
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    yield (
        "TIFF with a preview",
        picture(Image.fromarray(eight(deep)), "TIFF", save_all=True, append_images=[preview]),
    )


def main() -> None:
    """Print the answer for each kind as JSON."""
    grader = from_pretrained(threads=1)
    print(json.dumps({kind: answer(grader, content) for kind, content in odd_films()}, indent=1))


if __name__ == "__main__":
    main()

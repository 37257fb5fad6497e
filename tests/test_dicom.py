"""DICOM films: transfer syntaxes, transforms, and what the header says of the film."""

import io

import numpy as np
import pydicom
import pytest
from imagecodecs import jpeg8_encode
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
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
    RLELossless,
    generate_uid,
)

from kneeoa_hub.errors import DamagedFilm, FilmTooLarge, SeveralFrames, UnsupportedFilm
from kneeoa_hub.imaging.decode import Limits, decode
from kneeoa_hub.imaging.gate import MESSAGES, check_pixels
from kneeoa_hub.imaging.phantom import knee_film

PATIENT = "DOE^JANE"


def knee(bits: int = 12) -> np.ndarray:
    """A synthetic knee in the lower `bits` of uint16."""
    film = knee_film(2, 7, bits=16).pixels.astype(np.float64)
    return np.rint(film / film.max() * (2**bits - 1)).astype(np.uint16)


def dicom(pixels: np.ndarray, syntax: UID = ExplicitVRLittleEndian, **header: object) -> bytes:
    """A digital radiograph with the pixels as stored values."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax if syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian) else ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid(entropy_srcs=["kneeoa"])
    dataset.PatientName, dataset.PatientID, dataset.Modality = PATIENT, "12345", "DX"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    dataset["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    for name, value in header.items():
        setattr(dataset, name, value)
    if syntax == JPEGBaseline8Bit:
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "JPEG", quality=100)
        dataset.PixelData = encapsulate([content.getvalue()])
        dataset["PixelData"].VR, dataset.file_meta.TransferSyntaxUID = "OB", syntax
    elif dataset.file_meta.TransferSyntaxUID != syntax:
        dataset.compress(syntax, generate_instance_uid=False)
    content = io.BytesIO()
    pydicom.dcmwrite(content, dataset, enforce_file_format=True)
    return content.getvalue()


LOSSLESS = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless]


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_a_lossless_transfer_syntax_keeps_every_bit(syntax):
    assert (decode(dicom(knee(), syntax)).pixels == knee()).all()


def in_jpeg(pixels: np.ndarray, syntax: UID, bits: int, end: int | None = None, **header: object) -> bytes:
    """A film in a kind of JPEG that pydicom does not write. end: of its frame, where that is cut off."""
    kind = {"level": 95} if syntax == JPEGExtended12Bit else {"lossless": True}
    film = pydicom.dcmread(io.BytesIO(dicom(pixels, BitsStored=bits, HighBit=bits - 1, **header)))
    film.PixelData = encapsulate([jpeg8_encode(pixels, bitspersample=bits, **kind)[:end]])
    film["PixelData"].VR, film.file_meta.TransferSyntaxUID = "OB", syntax
    content = io.BytesIO()
    pydicom.dcmwrite(content, film, enforce_file_format=True)
    return content.getvalue()


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLossless])
@pytest.mark.parametrize("bits", [12, 16])
def test_the_lossless_jpeg_of_most_radiography_machines_keeps_every_bit(syntax: UID, bits: int):
    assert (decode(in_jpeg(knee(bits), syntax, bits)).pixels == knee(bits)).all()


def test_signed_values_in_lossless_jpeg_keep_their_sign():
    signed = knee(12).astype(np.int16) - 1000
    film = in_jpeg((signed & 4095).astype(np.uint16), JPEGLosslessSV1, 12, PixelRepresentation=1)
    wanted = np.where(signed > 2047, signed - 4096, signed)
    assert (decode(film).pixels == wanted).all()


def test_lossy_jpeg_of_12_bits_is_read():
    assert np.abs(decode(in_jpeg(knee(), JPEGExtended12Bit, 12)).pixels - knee()).max() < 4096 / 128


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGExtended12Bit])
def test_a_jpeg_that_is_cut_off_or_of_another_size_is_damaged(syntax: UID):
    with pytest.raises(DamagedFilm):
        decode(in_jpeg(knee(), syntax, 12, end=-1000))
    with pytest.raises(DamagedFilm):
        decode(in_jpeg(knee(), syntax, 12, Rows=100))


def test_lossy_jpeg_is_read():
    eight = knee(8).astype(np.uint8)
    assert np.abs(decode(dicom(eight, JPEGBaseline8Bit)).pixels - eight).max() < 8


def test_bone_is_bright_in_either_photometric_interpretation():
    negative = 4095 - knee()
    assert (decode(dicom(negative, PhotometricInterpretation="MONOCHROME1")).pixels == knee() - float(knee().min())).all()


def test_the_rescale_slope_and_the_window_are_applied():
    rescaled = decode(dicom(knee(), RescaleSlope=2, RescaleIntercept=-1000, RescaleType="US")).pixels
    assert (rescaled == 2.0 * knee() - 1000).all()
    windowed = decode(dicom(knee(), WindowCenter=2000, WindowWidth=1000)).pixels
    assert windowed[knee() < 1500].max() == windowed.min()
    assert windowed[knee() > 2500].min() == windowed.max()
    assert windowed.max() > windowed.min()


def test_a_voi_table_is_applied():
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 16], list(range(0, 65536, 16))
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    assert (decode(dicom(knee(), VOILUTSequence=[table])).pixels == 16.0 * knee()).all()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_as_dark_as_the_darkest_part_of_the_film(photometric):
    stored = knee() // 2 + 500
    stored[:20] = 4095
    pixels = decode(dicom(stored, PixelPaddingValue=4095, PhotometricInterpretation=photometric)).pixels
    assert (pixels[:20] == pixels[20:].min()).all()
    assert pixels[20:].std() > 100


def test_the_side_comes_from_the_header():
    assert decode(dicom(knee(), ImageLaterality="R")).side == "right"
    assert decode(dicom(knee(), Laterality="L")).side == "left"
    assert decode(dicom(knee(), ImageLaterality="B")).side is None
    assert decode(dicom(knee())).side is None


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"Modality": "MR"}, "other-modality"),
        ({"BodyPartExamined": "CHEST"}, "other-body-part"),
        ({"BodyPartExamined": "LEFT_HAND"}, "other-body-part"),
        ({"ViewPosition": "LL"}, "not-frontal"),
        ({"ViewPosition": "LATERAL"}, "not-frontal"),
    ],
)
def test_a_header_that_says_it_is_no_frontal_knee_is_believed(grader, header, reason):
    content = dicom(knee(), **header)
    report = grader.grade(content)
    assert (report.refused.reason, report.refused.message) == (reason, MESSAGES[reason])
    assert report.knees == ()
    assert len(grader.grade(content, force=True).knees) == 1


@pytest.mark.parametrize(
    "header",
    [
        {"Modality": "CR", "BodyPartExamined": "KNEE", "ViewPosition": "AP"},
        {"BodyPartExamined": "HIP KNEE ANKLE"},
        {"BodyPartExamined": "GENOU DROIT"},
        {"BodyPartExamined": "", "ViewPosition": ""},
        {"ViewPosition": "PA"},
    ],
)
def test_any_other_header_rules_nothing_out(grader, header):
    assert check_pixels(decode(dicom(knee(), **header)), grader.bundle.config.refusal) is None


def test_several_frames_colour_and_no_image_are_errors():
    with pytest.raises(SeveralFrames, match="3 frames"):
        decode(dicom(np.tile(knee(), (3, 1)), NumberOfFrames=3, Rows=knee().shape[0]))
    with pytest.raises(UnsupportedFilm, match="RGB"):
        decode(dicom(knee(8).astype(np.uint8), PhotometricInterpretation="RGB"))
    with pytest.raises(UnsupportedFilm, match="without an image"):
        decode(dicom(knee(), Rows=0))


def test_a_damaged_or_oversized_film_is_an_error_before_its_pixels_are_read():
    whole = dicom(knee())
    with pytest.raises(DamagedFilm):
        decode(whole[: len(whole) // 2])
    with pytest.raises(FilmTooLarge, match="over 1000 pixels"):
        decode(whole, Limits(max_pixels=1000))
    with pytest.raises(FilmTooLarge, match="60000x60000"):
        decode(dicom(knee(), Rows=60000, Columns=60000))


def test_a_value_against_the_standard_is_read_without_a_word_in_any_log(caplog):
    content = dicom(knee(), ViewPosition="LATERAL", PatientID="SECRET").replace(b"LATERAL ", b"lateral ").replace(PATIENT.encode(), b"doe^\xffjan")
    assert decode(content).ruled_out == "not-frontal"
    assert caplog.text == ""


def test_nothing_of_the_patient_leaves_the_header(grader):
    report = grader.grade(dicom(knee(), StudyDate="20200131", InstitutionName="GENERAL"), force=True)
    told = f"{report.to_dict()} {report.findings()} {report!r}"
    assert not any(secret in told for secret in (PATIENT, "12345", "20200131", "GENERAL"))

"""Computes digests of a film. By them the queue knows a film that comes again, and one whose header was corrected."""

import hashlib
from dataclasses import dataclass

import pydicom

from kneeoa_hub.imaging.bounds.dicom import VALUE_BYTES, CountedReads
from kneeoa_hub.imaging.deflated import inflated_header, inflated_pieces
from kneeoa_hub.imaging.dicom_header import read_statements
from kneeoa_hub.imaging.film import Limits
from kneeoa_hub.imaging.identity import FilmIdentity
from kneeoa_hub.imaging.quiet import quiet_logs, quiet_warnings

IMAGE_GROUP = 0x0028
"""These elements say how the pixels are shown."""


@dataclass(frozen=True)
class Digests:
    """Holds the SHA-256 of a film and of its parts, in hex digits.

    Attributes:
        whole: Digest of the data set, without the header of a file, which the receiver writes.
        header: Digest of what an answer takes from the header: patient, study, side, view, and how the pixels are
            shown. "" if the header cannot be read.
        pixels: Digest of the pixels, with what follows them in the file. "" if they cannot be read.
    """

    whole: str
    header: str
    pixels: str

    @classmethod
    def of(cls, film: bytes, identity: FilmIdentity, dataset: bytes | None = None) -> "Digests":
        """Return the digests.

        Args:
            film: The file.
            identity: Its identity.
            dataset: Its data set, without the header of a file; by default the file counts as it is.
        """
        whole = _digest(film if dataset is None else dataset)
        try:
            with quiet_logs(), quiet_warnings():
                read = CountedReads(inflated_header(film))
                header = pydicom.dcmread(read, VALUE_BYTES, stop_before_pixels=True, force=True)
                pixels = read.tell()
                image = list(map(str, header.group_dataset(IMAGE_GROUP)))
                said = _digest(repr((identity.__dict__, read_statements(header), image)).encode("utf-8", "replace"))
            return cls(whole, said, _pixels(film, pixels))
        except Exception:  # pydicom raises many kinds for a corrupt file
            return cls(whole, "", "")


def _pixels(film: bytes, start: int) -> str:
    """Return the digest of everything behind a place in the film, which is inflated piece by piece."""
    digest = hashlib.sha256()
    for piece in inflated_pieces(film, Limits()):
        digest.update(memoryview(piece)[start:])
        start = max(0, start - len(piece))
    return digest.hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

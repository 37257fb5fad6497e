"""The process of `fuzz_reader` that may crash: it reads the inputs of one format and raises what counts as a finding.

    python -m benchmarks.fuzz_target BMP counts.json -runs=1000 corpus/

The arguments are the format, the file for the counts, and those of libFuzzer.
"""

import io
import json
import logging
import os
import resource
import sys
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kneeoa_hub.errors import FilmError

SECONDS, INPUT_MEGABYTES = 2, 128
"""One input may take this processor time, and raise the peak memory of the process by this many megabytes."""
PIXELS = 2_000_000
"""The reader has this limit while it is fuzzed, so that inputs are fast. tests/library/test_memory.py measures films up
to the default limit."""
MARK = "DOE^JANE"
"""This patient, in the DICOM seeds, must not appear in an error, a warning or a log."""
COUNTED_EVERY = 250
"""The counts are written after this many inputs."""
INSTRUMENTED = ["PIL", "pydicom", "kneeoa_hub.imaging"]
"""The coverage of these packages guides the fuzzer."""


class Finding(Exception):
    """A finding is a fault that is not an exception of Python by itself."""


class Target:
    """The target reads one input after the other and counts what comes of them."""

    def __init__(self, decode: Callable[[bytes], object], counts: Path, said: io.StringIO):
        """Begin to count.

        Args:
            decode: Reads a film.
            counts: The file for the counts.
            said: Where warnings and logs go.
        """
        self.decode, self.counts, self.said = decode, counts, said
        self.outcomes: Counter[str] = Counter()
        self.most = {"seconds": 0.0, "megabytes": 0.0}

    def read(self, content: bytes) -> None:
        """Read one input. Raises Finding, or what the reader raises beside the package's own errors."""
        self.said.seek(0)
        self.said.truncate()
        begun, before = time.process_time(), peak_megabytes()
        try:
            film = self.decode(content)
        except FilmError as error:
            self.outcomes[error.code] += 1
            print(error.message, file=self.said)
        else:
            self.outcomes["read"] += 1
            check_film(film)
        taken = {"seconds": time.process_time() - begun, "megabytes": peak_megabytes() - before}
        self.most.update({unit: max(self.most[unit], value) for unit, value in taken.items()})
        if taken["seconds"] > SECONDS or taken["megabytes"] > INPUT_MEGABYTES:
            raise Finding(f"{taken['seconds']:.1f} s and {taken['megabytes']:.0f} MB for one input")
        if MARK in self.said.getvalue():
            raise Finding("the patient's name was shown: " + self.said.getvalue()[:120])
        if not sum(self.outcomes.values()) % COUNTED_EVERY:
            self.counts.write_text(json.dumps({"outcomes": self.outcomes} | self.most), "utf-8")

    def traced(self, content: bytes) -> None:
        """Read one input, and print the traceback of what is raised."""
        try:
            self.read(content)
        except BaseException:
            traceback.print_exc()
            raise


def check_film(film) -> None:
    """Raise Finding for a decoded film that is not possible."""
    if (
        film.pixels.ndim != 2
        or film.pixels.dtype != np.float32
        or not np.isfinite(film.pixels).all()
        or not 0 <= film.colour <= 1
    ):
        raise Finding(f"an impossible film of {film.pixels.shape} {film.pixels.dtype}, colour {film.colour}")


def peak_megabytes() -> float:
    """Return the peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def with_checksums(png: bytes) -> bytes:
    """Return the same chunks with the CRC that each should have (PNG, third edition, 5.3)."""
    changed, at = bytearray(png), 8
    while at + 12 <= len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(png):
            break
        changed[end : end + 4] = zlib.crc32(png[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(changed)


def instrumented_decode(form: str) -> Callable[[bytes], object]:
    """Return the reader, with the coverage of everything that it imports for films of one format."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):  # pyright: ignore[reportAttributeAccessIssue]
        import PIL.BmpImagePlugin
        import PIL.JpegImagePlugin
        import PIL.MpoImagePlugin
        import PIL.PngImagePlugin
        import PIL.TiffImagePlugin
        import PIL.WebPImagePlugin  # noqa: F401

        from kneeoa_hub.imaging import deep_color, picture  # noqa: F401
        from kneeoa_hub.imaging.decode import decode
        from kneeoa_hub.imaging.film import Limits

        from .film_kinds import film_files
        from .fuzz_seeds import synthetic

        limits = Limits(max_pixels=PIXELS, min_side=1)
        for file in film_files(synthetic()[0]):
            # What a decoder imports for its first film is instrumented too, and is not counted as the time of an input.
            if file.form == form:
                decode(file.content, limits)
    return lambda content: decode(content, limits)


def captured_warnings() -> io.StringIO:
    """Return where all warnings and logs go from now on."""
    import pydicom.config

    said = io.StringIO()
    logging.basicConfig(stream=said, level=logging.WARNING, force=True)
    logging.getLogger("pydicom").propagate = True
    pydicom.config.settings.reading_validation_mode = pydicom.config.WARN
    warnings.simplefilter("always")
    warnings.showwarning = lambda message, *_, **__: print(message, file=said)
    return said


def main(arguments: list[str]) -> None:
    """Read inputs until libFuzzer ends or a finding is raised."""
    import atheris

    form, counts, *options = arguments
    target = Target(instrumented_decode(form), Path(counts), captured_warnings())

    def mutated(content: bytes, longest: int, _seed: int) -> bytes:
        changed = atheris.Mutate(content, longest)
        return with_checksums(changed) if form == "PNG" else changed

    os.environ.pop("LD_PRELOAD", None)
    atheris.Setup([sys.argv[0], *options], target.traced, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])

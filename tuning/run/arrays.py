"""Arrays in files of NumPy, which another machine may have made: read with a bound on memory, and never as a pickle."""

import os
from collections.abc import Collection
from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np

from kneeoa_hub.errors import DataError
from kneeoa_hub.files import replacing


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays by name to an .npz file, which appears whole or not at all, also when the power fails.

    Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())


def read_arrays(path: Path, needed: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name, in their order.

    They take no more memory than the file has bytes.

    Args:
        path: The file.
        needed: Names of arrays that it must hold.

    Raises:
        DataError: The file is missing or damaged, is packed, or lacks an array; the error says so.
    """
    try:
        with ZipFile(path) as archive:
            held = archive.infolist()
        size = path.stat().st_size
        if any(one.compress_type != ZIP_STORED for one in held) or sum(one.file_size for one in held) > size:
            raise BadZipFile("its arrays are larger than the file")
        with np.load(path, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
    except Exception as error:  # a damaged file makes NumPy and its ZIP reader raise whatever they like
        said = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
        raise DataError(f"{path} can't be read ({said}); make it again.") from None
    if missing := sorted(set(needed) - arrays.keys()):
        raise DataError(f"{path} has no {', '.join(missing)}; make it again with this release.")
    return arrays

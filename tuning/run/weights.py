"""Files of weights are made in memory: on a disk that fills meanwhile, the HDF5 library would end the process."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
from keras.src.saving import saving_lib  # Keras has no public way to write weights anywhere but to a path


def save_weights(network: keras.Model, path: Path) -> None:
    """Write the weights of a network to a file that ends in .weights.h5. Raises OSError where it can't be written."""
    with weights_in_memory():
        network.save_weights(path)


@contextmanager
def weights_in_memory() -> Iterator[None]:
    """Let Keras make the files of weights of the block in memory, and write each when it is whole."""
    plain = saving_lib.H5IOStore

    class InMemory(plain):
        def __init__(self, path: Any, archive: Any = None, mode: str = "r"):
            self.target = path if mode == "w" and archive is None else None
            self.image = io.BytesIO()
            super().__init__(self.image if self.target else path, archive, mode)

        def close(self) -> None:
            super().close()
            if self.target:
                Path(self.target).write_bytes(self.image.getbuffer())

    saving_lib.H5IOStore = InMemory
    try:
        yield
    finally:
        saving_lib.H5IOStore = plain

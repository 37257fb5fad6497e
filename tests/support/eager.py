"""Keras runs without graphs here: to trace a training takes five seconds, more than the few steps of a test."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def eagerly() -> Iterator[None]:
    """Inside the block every operation of Keras runs at once, where Keras runs on TensorFlow."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)

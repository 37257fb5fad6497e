"""Trains, evaluates and publishes models: one module per step of the loop, run by `python -m tuning STEP`."""

from kneeoa_hub.third_party import prepare_keras

IGNORED_SETTINGS = prepare_keras()  # before any module below imports Keras
"""A sentence for each setting of Keras that was dropped."""

"""This package trains, evaluates and publishes models: `python -m tuning STEP` runs a module per step of the loop."""

from kneeoa_hub.third_party import prepare_keras

IGNORED_SETTINGS = prepare_keras()  # before any module below imports Keras
"""These sentences name each setting of Keras that was dropped."""

"""Trains, evaluates and publishes models: one module per step of the loop, run by `python -m tuning STEP`."""

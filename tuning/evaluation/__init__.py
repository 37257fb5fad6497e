"""Evaluation of trained networks: calibration, measures with intervals, subgroups, plots, evidence."""

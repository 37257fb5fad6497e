"""What trained networks are worth: figures, calibration, subgroups, plots."""

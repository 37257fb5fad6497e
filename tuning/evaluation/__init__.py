"""What trained networks are worth: calibration, measures with intervals, subgroups, plots, evidence."""

"""The modules here evaluate trained networks: calibration, measures with intervals, subgroups, plots and evidence."""

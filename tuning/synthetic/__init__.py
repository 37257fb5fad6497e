"""Synthetic films: whole legs composed from real knees, simulated parts of the body, films that show no knee."""

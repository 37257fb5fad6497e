"""Turns a film's bytes into the pixels of its knees."""

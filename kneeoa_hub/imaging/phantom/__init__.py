"""Draws synthetic frontal knee radiographs, made for trying the whole loop, never for judging a model.

The Kellgren-Lawrence grade changes joint space, osteophytes and subchondral sclerosis alone (`disease`). Build, pose,
texture, exposure and noise come from the seed (`anatomy`, `outlines`, `landmarks`, `texture`, `exposure`).
"""

from .films import Phantom, grades_picture, knee_film, sample_films, two_knee_film, write_films

__all__ = ["Phantom", "grades_picture", "knee_film", "sample_films", "two_knee_film", "write_films"]

"""Defines the Kellgren-Lawrence scale (Kellgren & Lawrence, Ann Rheum Dis 1957;16:494-502)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Grade:
    """Describes one grade of the scale.

    Attributes:
        value: Its number, 0 to 4.
        label: Its name.
        criterion: Its criterion in plain words.
    """

    value: int
    label: str
    criterion: str


GRADES = (
    Grade(0, "Normal", "No feature of osteoarthritis."),
    Grade(1, "Doubtful", "Doubtful narrowing of the joint space, possibly a small bony lip (osteophyte)."),
    Grade(2, "Mild", "Definite osteophytes; the joint space may be narrowed."),
    Grade(3, "Moderate", "Several osteophytes, definite narrowing of the joint space, some sclerosis."),
    Grade(4, "Severe", "Large osteophytes, marked narrowing of the joint space, severe sclerosis, deformed bone ends."),
)
"""The five grades stand here in order, so that each is at the index of its value."""
LABELS = tuple(grade.label for grade in GRADES)
"""The labels of the grades stand here in the same order."""
NUM_GRADES = len(GRADES)
"""The scale has five grades."""
OSTEOARTHRITIS_FROM = 2
"""Radiographic osteoarthritis is present from this grade on, by convention."""

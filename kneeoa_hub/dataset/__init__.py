"""Grades an archive of any size on Ray: `grade_dataset` is an adapter over Ray Data (extra `ray`)."""

from .grade import GradedDataset, grade_dataset

__all__ = ["GradedDataset", "grade_dataset"]

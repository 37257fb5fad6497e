"""Writes and renders answers: tables, web pages, printable reports, sidecar files and DICOM objects."""

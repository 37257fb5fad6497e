"""What is written beside an answer: tables, sidecars, printable reports and DICOM objects."""

"""Asks an image archive (PACS) for films over DICOMweb."""

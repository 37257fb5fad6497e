"""What the package asks of an image archive (PACS) over DICOMweb."""

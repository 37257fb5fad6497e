"""Writes the model card from a bundle's own evidence."""

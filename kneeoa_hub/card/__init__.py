"""The model card, written from a bundle's own evidence."""

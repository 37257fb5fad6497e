"""Brings bundles in and out: addresses, shipped presets, versioned folders and the Hugging Face Hub belong here."""

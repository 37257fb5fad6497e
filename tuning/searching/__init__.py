"""The modules here make the search step: its space, its trials, and what of them is kept and shown."""

"""What a search is worth: see `__main__`."""

"""The benchmark of this package measures what a search is worth, see `__main__`."""

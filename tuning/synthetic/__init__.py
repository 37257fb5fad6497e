"""Films that are made: composed legs, body parts, and what is no knee."""

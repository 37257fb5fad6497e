"""From a film's bytes to the pixels of its knees."""

"""What every step needs to run: folders, console, memory, figures."""

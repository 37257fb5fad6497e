"""What every step needs to run: output folders, console, memory, estimates."""

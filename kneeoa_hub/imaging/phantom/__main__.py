"""Writes a picture of the five grades: `python -m kneeoa_hub.imaging.phantom --grades-picture OUT.png`."""

from pathlib import Path

from ...escaping import CommandParser
from .films import grades_picture


def main() -> None:
    """Write the picture to the file that the command line names."""
    parser = CommandParser(description="Draw the same synthetic knee in each of the five grades.")
    parser.add_argument("--grades-picture", type=Path, required=True, metavar="OUT.png", help="the file to write")
    grades_picture().save(parser.parse_args().grades_picture)


if __name__ == "__main__":
    main()

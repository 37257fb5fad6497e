"""Defines the options of every command, with their help and examples."""

import argparse
from collections.abc import Callable
from pathlib import Path

from .. import __version__
from ..errors import FilmError
from ..escaping import CommandParser
from ..hub.push_options import EDITED_CARD
from . import grade, models

EXAMPLES = {
    "grade": """
  kneeoa grade knee.png                     # print a table
  kneeoa grade films/*.png --json           # print one JSON report per line
  kneeoa grade films/*.png --csv > out.csv  # print one row per knee
  kneeoa grade films --out grades.csv       # grade a folder on all cores; the same command continues a stopped run
  kneeoa grade films/*.png --overlays seen  # also write each film with its grades and heatmaps drawn over it
  kneeoa grade knee.png --box 40,60,340,380 # grade this part of the film, in pixels: left, top, right, bottom
  cat knee.png | kneeoa grade - --json      # read one film from standard input
  kneeoa grade knee.dcm --report knee.pdf   # also write a report to print, with film, overlay and findings
""",
    "pull": """
  kneeoa pull org/name@v1.0                 # download and verify a bundle, and print its folder
  kneeoa pull org/name@v1.0 --offline       # print the copy that was pulled before, without a network
""",
    "push": """
  kneeoa push my-bundle ./hub/kneeoa --tag v1.0
  kneeoa push my-bundle org/name --tag v1.0 --private --dry-run
""",
    "info": """
  kneeoa info                               # describe the shipped bundle, with its figures
  kneeoa info org/name@v1.0 --json
""",
    "verify": """
  kneeoa verify ./my-bundle                 # check every file against the manifest
""",
    "card": """
  kneeoa card ./my-bundle > my-bundle/README.md
""",
    "list": """
  kneeoa list                               # print name, size, licence and headline figures
""",
}
"""The help of each command shows these examples. Tests run all of them."""
EXIT_CODES = """\
exit code:
  0    {done}
  1    {failed}
  2    the command line, an address or a setting is wrong
  130  the command was interrupted
"""
"""Every help ends with the meaning of the exit codes."""
OF_FILMS = ("all films were graded or refused", "a film, its DICOM objects or the model failed")
OF_BUNDLES = ("the command did what was asked", "the bundle, a file or the Hub failed")
"""The codes 0 and 1 have the first meaning if films are graded, and the second one for a command about a bundle."""
FOLDER = (
    "In a folder, a film has one of the suffixes .png, .jpg, .jpeg, .jfif, .tif, .tiff, .bmp, .webp, .dcm, .dic or"
    " .dicom, or is DICOM with any other name; the command says which other files it skipped, and follows links to"
    " folders. A DICOMDIR stands for the films that it lists"
)
"""The help describes the films of a folder in these words."""
ADDRESS = "a shipped name, a folder (./path), or org/name[@revision] on the Hub (default: the shipped bundle)"
"""The help describes a model's address in these words."""

Run = Callable[[argparse.Namespace], int]
"""A command takes the parsed options and returns the exit code."""


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line, with all its commands."""
    whole = CommandParser(
        prog="kneeoa",
        description=(
            "Grade knee radiographs on the Kellgren-Lawrence scale. This is research software, not a medical device."
        ),
        epilog=_epilog(*EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="version", version=f"kneeoa-hub {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Run, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=_epilog(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        return sub

    _add_grade_options(command("grade", grade.run, "Grade films."))
    _add_pull_options(command("pull", models.pull, "Download and verify a bundle, and print its folder."))
    _add_push_options(command("push", models.push, "Publish a bundle to a versioned folder or to a repo on the Hub."))
    _add_info_options(command("info", models.info, "Describe a bundle, with its measured figures."))
    _add_verify_options(command("verify", models.verify, "Check every file of a bundle against its manifest."))
    _add_card_options(command("card", models.card, "Render the model card from bundle and evidence."))
    listing = command("list", models.list_models, "List the shipped bundles.")
    listing.add_argument("--json", action="store_true", help="print a list with one JSON object per bundle")
    return whole


def _epilog(*commands: str) -> str:
    done, failed = OF_FILMS if "grade" in commands else OF_BUNDLES
    examples = "".join(EXAMPLES[name].removeprefix("\n") for name in commands)
    return f"examples:\n{examples}\n{EXIT_CODES.format(done=done, failed=failed)}"


def _add_address(sub: argparse.ArgumentParser, positional: bool = True) -> None:
    if positional:
        sub.add_argument("address", nargs="?", help=ADDRESS)
    else:
        sub.add_argument("--model", dest="address", metavar="ADDRESS", help=ADDRESS)
    sub.add_argument("--revision", help="tag, branch or commit, where the address holds none")
    sub.add_argument("--offline", action="store_true", help="use no network, only what was pulled before")


def _add_grade_options(sub: argparse.ArgumentParser) -> None:
    _add_films(sub)
    _add_answers(sub)
    _add_documents(sub)


def _add_films(sub: argparse.ArgumentParser) -> None:
    """Add the options that say what is graded, and how."""
    sub.add_argument(
        "films",
        nargs="*",
        metavar="FILE",
        help=f"a PNG, JPEG, TIFF, BMP, WebP or DICOM film, - for standard input, or a folder. {FOLDER}",
    )
    _add_address(sub, positional=False)
    sub.add_argument(
        "--level",
        type=float,
        metavar="LEVEL",
        help="coverage level of the prediction sets, one of those in the bundle, such as 0.95 (default: 0.9)",
    )
    sub.add_argument(
        "--workers",
        type=_count,
        default=0,
        metavar="N",
        help="films that are graded at the same time (default: the number of cores)",
    )
    sub.add_argument(
        "--box",
        type=_box,
        action="append",
        metavar="L,T,R,B",
        help=(
            "where a knee lies in the only film: left, top, right and bottom in pixels; may be repeated (default: find"
            " the knees)"
        ),
    )
    sub.add_argument("--force", action="store_true", help="grade films that are refused, too, with a warning")


def _add_answers(sub: argparse.ArgumentParser) -> None:
    """Add the options that say where the answers go, and where they are computed."""
    form = sub.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object per film and line, in the given order")
    form.add_argument("--csv", action="store_true", help="print one CSV row per knee")
    form.add_argument(
        "--out",
        metavar="FILE",
        help=(
            "write to FILE.csv or FILE.jsonl while grading, or with --engine ray to a folder of Parquet files; films"
            " that it already holds are not graded again"
        ),
    )
    sub.add_argument(
        "--engine",
        choices=("here", "ray"),
        default="here",
        help=(
            "where films are graded: here, in this process, or on Ray, for an archive of any size. Ray also takes"
            " addresses such as s3://bucket/films and Parquet files of films (extra ray; default: here)"
        ),
    )
    sub.add_argument(
        "--retry-failed",
        action="store_true",
        help="with --engine ray, grade films again that have an error in the folder of --out",
    )


def _add_documents(sub: argparse.ArgumentParser) -> None:
    """Add the options for documents for people and archives, and for the study of an archive."""
    sub.add_argument(
        "--overlays",
        type=Path,
        metavar="DIR",
        help="also write FILM.graded.png for each graded film, in folders like those of the films",
    )
    sub.add_argument(
        "--report", type=Path, metavar="FILE", help="also write a report of all films to print, FILE.html or FILE.pdf"
    )
    sub.add_argument(
        "--dicom",
        type=Path,
        metavar="DIR",
        help=(
            "also write a structured report and a secondary capture for each DICOM film, except for films that --out"
            " already holds"
        ),
    )
    sub.add_argument("--fhir", type=Path, metavar="DIR", help="also write a FHIR R4 bundle for each DICOM film")
    sub.add_argument("--hl7", type=Path, metavar="DIR", help="also write an HL7 v2 message for each DICOM film")
    sub.add_argument(
        "--study",
        metavar="URL",
        help=(
            "grade a study of an archive in place of files, with one answer for all its films:"
            " dicomweb://HOST/PATH/studies/UID, or the same with http or https (extra node)"
        ),
    )
    sub.add_argument("--store", action="store_true", help="store the structured report of --study in that archive")


def _add_pull_options(sub: argparse.ArgumentParser) -> None:
    _add_address(sub)
    sub.add_argument("--json", action="store_true", help="print one JSON object: folder and revision")


def _add_push_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("bundle", help="the bundle's folder")
    sub.add_argument("address", help="a versioned folder (./folder), or org/name on the Hub")
    sub.add_argument("--tag", help="a tag for this bundle, such as v1.0")
    sub.add_argument("--private", action="store_true", help="make a new repo private")
    sub.add_argument("--branch", help="the branch of a repo, made where it is missing (default: main)")
    sub.add_argument("--pull-request", action="store_true", help="open a pull request in place of a commit to main")
    sub.add_argument(
        "--edited-card",
        default="refuse",
        choices=EDITED_CARD,
        help="what to do with a card that was edited on the Hub (default: refuse)",
    )
    sub.add_argument("--message", help="the message of the commit")
    sub.add_argument("--dry-run", action="store_true", help="check everything, list what would be sent, send nothing")
    sub.add_argument("--json", action="store_true", help="print one JSON object: address, files and deleted files")


def _add_info_options(sub: argparse.ArgumentParser) -> None:
    _add_address(sub)
    sub.add_argument("--json", action="store_true", help="print bundle.json and evidence.json in one JSON object")


def _add_verify_options(sub: argparse.ArgumentParser) -> None:
    _add_address(sub)
    sub.add_argument("--json", action="store_true", help="print one JSON object: folder, revision and manifest digest")


def _add_card_options(sub: argparse.ArgumentParser) -> None:
    _add_address(sub)
    sub.add_argument("--figures", default="figures/", help="prefix of the card's picture links (default: figures/)")
    sub.add_argument("--json", action="store_true", help="print one JSON object: name, version and the card's text")


def _box(text: str) -> tuple[int, ...]:
    from ..imaging.boxes import box_of  # takes numpy along, which few calls of the parser need

    try:
        return box_of(text)
    except FilmError as error:
        raise argparse.ArgumentTypeError(error.message.rstrip(".")) from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)

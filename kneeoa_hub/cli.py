"""kneeoa grade | pull | push | info | verify | card | list.

Exit code: 0 all graded or refused, 1 a film failed, 2 usage.
"""

import argparse
import io
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from . import __version__
from .errors import AddressError, KneeOAError, SettingsError

EXAMPLES = {
    "grade": (
        """
  kneeoa grade knee.png                     # a readable table
  kneeoa grade films/*.png --json           # one JSON report a line
  kneeoa grade films/*.png --csv > out.csv  # one row a knee
  kneeoa grade films --out grades.csv       # a folder, all cores; the same again goes on where it was stopped
  kneeoa grade films/*.png --overlays seen  # also write each film with its grade and evidence drawn over it
  kneeoa grade knee.dcm --report knee.pdf   # also a report to print, with the film, its overlay and findings
"""
    ),
    "pull": (
        """
  kneeoa pull org/name@v1.0                 # download and verify a bundle, print where it lies
  kneeoa pull org/name@v1.0 --offline       # the copy that was pulled before, without a network
"""
    ),
    "push": (
        """
  kneeoa push my-bundle ./hub/kneeoa --tag v1.0
  kneeoa push my-bundle org/name --tag v1.0 --private --dry-run
"""
    ),
    "info": (
        """
  kneeoa info                               # the shipped bundle and its figures
  kneeoa info org/name@v1.0 --json
"""
    ),
    "verify": (
        """
  kneeoa verify ./my-bundle                 # check every file against the manifest
"""
    ),
    "card": (
        """
  kneeoa card ./my-bundle > my-bundle/README.md
"""
    ),
    "list": (
        """
  kneeoa list                               # name, size, licence and headline figures
"""
    ),
}
EXIT_CODES = (
    "exit code: 0 all graded or refused, 1 a film failed or its DICOM objects or the model could not be had, "
    "2 a wrong command line, address or setting, 130 interrupted\n"
)

FOLDER = (
    "its films are told by .png, .jpg, .jpeg, .jfif, .tif, .tiff, .bmp, .webp, .dcm, .dic or .dicom, DICOM without a"
    " suffix by its content; how many other files are passed over is told"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; every error of the package becomes a line on standard error."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding.lower() == "utf-8":
        sys.stdout.reconfigure(errors="surrogateescape")  # names of films that are no UTF-8
    parsed = parser().parse_args(arguments)
    try:
        code = parsed.run(parsed)
        if sys.stdout:  # which is closed by >&-
            sys.stdout.flush()
        return code
    except (AddressError, SettingsError) as error:
        print(f"kneeoa: {error.message}", file=sys.stderr)
        return 2
    except KneeOAError as error:
        print(f"kneeoa: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # as of `kneeoa grade films | head`
        _drop_output()
        return 130
    except OSError as error:  # as of `kneeoa list > /dev/full`
        print(
            f"kneeoa: {error.filename or 'the output'} can't be written or read ({error.strerror}); make room or give"
            " access.",
            file=sys.stderr,
        )
        _drop_output()
        return 1


def _drop_output() -> None:
    """What is still buffered for it goes nowhere, instead of failing once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser() -> argparse.ArgumentParser:
    """The command line, with its subcommands."""
    whole = argparse.ArgumentParser(
        prog="kneeoa",
        description="Kellgren-Lawrence grades of knee radiographs. Research use; not a medical device.",
        epilog=_epilog(*EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="version", version=f"kneeoa-hub {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=_epilog(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        return sub

    def addressed(sub: argparse.ArgumentParser, positional: bool) -> None:
        text = "shipped name, folder (./path), or org/name[@revision] on the Hub; default: the shipped bundle"
        if positional:
            sub.add_argument("address", nargs="?", help=text)
        else:
            sub.add_argument("--model", dest="address", metavar="ADDRESS", help=text)
        sub.add_argument("--revision", help="tag, branch or commit of the address")
        sub.add_argument("--offline", action="store_true", help="use only what was pulled before")

    grade = command("grade", _grade, "grade films")
    grade.add_argument(
        "films", nargs="+", metavar="FILE", help=f"PNG, JPEG, TIFF, BMP, WebP or DICOM, or a folder of such: {FOLDER}"
    )
    addressed(grade, positional=False)
    grade.add_argument(
        "--level",
        type=float,
        metavar="SHARE",
        help="of the grade sets, such as 0.95, among the bundle's own (default 0.9)",
    )
    grade.add_argument(
        "--workers",
        type=_count,
        default=0,
        metavar="N",
        help="films graded at a time (default: as many as there are cores)",
    )
    form = grade.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a line, in the order given")
    form.add_argument("--csv", action="store_true", help="one row a knee")
    form.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write to FILE.csv or FILE.jsonl as it goes; films that it holds are not graded again",
    )
    grade.add_argument("--overlays", type=Path, metavar="DIR", help="write FILM.graded.png for each graded film")
    grade.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="also write the films with their grades to FILE.html or FILE.pdf, to print",
    )
    grade.add_argument(
        "--dicom",
        type=Path,
        metavar="DIR",
        help=(
            "also write a structured report and a secondary capture of each DICOM film; of those that --out holds"
            " already none again"
        ),
    )
    pull = command("pull", _pull, "download and verify a bundle, and print its folder")
    addressed(pull, positional=True)
    pull.add_argument("--json", action="store_true", help="one object: folder and revision")
    push = command("push", _push, "publish a bundle to a versioned folder or a Hub repo")
    push.add_argument("bundle", help="the bundle's folder")
    push.add_argument("address", help="./folder or org/name")
    push.add_argument("--tag", help="such as v1.0")
    push.add_argument("--private", action="store_true", help="make a new Hub repo private")
    push.add_argument("--branch", help="of a Hub repo; made when there is none (default main)")
    push.add_argument("--pull-request", action="store_true", help="open one instead of changing main")
    push.add_argument(
        "--edited-card",
        default="refuse",
        choices=("refuse", "keep", "replace"),
        help="a card that was changed on the Hub (default refuse)",
    )
    push.add_argument("--message", help="of the commit")
    push.add_argument("--dry-run", action="store_true", help="check, list what would go, and send nothing")
    push.add_argument("--json", action="store_true", help="one object: address, files and what is taken away")
    info = command("info", _info, "what a bundle is and what it measured")
    addressed(info, positional=True)
    info.add_argument("--json", action="store_true", help="bundle.json and evidence.json in one object")
    verify = command("verify", _verify, "check every file of a bundle against its manifest")
    addressed(verify, positional=True)
    verify.add_argument("--json", action="store_true", help="one object: folder, revision and digest of the manifest")
    card = command("card", _card, "render the model card from bundle and evidence")
    addressed(card, positional=True)
    card.add_argument("--figures", default="figures/", help="prefix of the card's picture links (default figures/)")
    card.add_argument("--json", action="store_true", help="one object: name, version and the card's text")
    listing = command("list", _list, "the bundles that are known by a name")
    listing.add_argument("--json", action="store_true", help="one object a bundle, in a list")
    return whole


def _epilog(*commands: str) -> str:
    return "examples:\n" + "".join(EXAMPLES[name].removeprefix("\n") for name in commands) + "\n" + EXIT_CODES


def _folder(arguments: argparse.Namespace) -> Path:
    from .hub.pull_push import pull

    return pull(arguments.address, revision=arguments.revision, local_files_only=arguments.offline)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _grade(arguments: argparse.Namespace) -> int:
    from .grader import from_pretrained
    from .output.sidecars import DicomObjects, check_places, with_overlays, with_report
    from .output.tables import AnswerFile, films_of, write_csv, write_json, write_table

    films, others = films_of(arguments.films)
    for folder, count in others.items():
        if count:
            files = "file" if count == 1 else "files"
            print(
                f"kneeoa: {folder}: {count} other {files} passed over (no film by name, nor DICOM without a suffix).",
                file=sys.stderr,
            )
    for film in films if arguments.dicom else ():
        if os.path.exists(film) and not os.path.isfile(film):
            raise SettingsError(
                f"{film} can be read only once, as a pipe, and --dicom reads a film twice; give it as a file."
            )
    check_places(overlays=arguments.overlays, dicom=arguments.dicom, report=arguments.report)
    workers = min(arguments.workers or _cores(), len(films))
    # Many films keep the cores busier than many threads of one film.
    grader = from_pretrained(
        arguments.address,
        revision=arguments.revision,
        local_files_only=arguments.offline,
        threads=1 if workers > 1 else 0,
        level=arguments.level,
    )
    file = AnswerFile(arguments.out, grader.revision, grader.level) if arguments.out else None
    left = [film for film in films if file is None or film not in file.done]
    if arguments.report and len(left) < len(films):
        raise SettingsError(
            f"--report would lack the {len(films) - len(left)} films that {arguments.out} holds already; give another"
            " --out, or none."
        )
    answers: Iterable[tuple[str, Any]] = zip(left, grader.grade_batch(left, workers=workers), strict=True)
    objects = DicomObjects(arguments.dicom) if arguments.dicom else None
    if arguments.overlays:
        answers = with_overlays(answers, arguments.overlays)
    if objects:
        answers = objects.beside(answers)
    if arguments.report:
        answers = with_report(answers, arguments.report)
    if file is None:
        if len(left) > 1 and not sys.stdout.isatty():  # else the answers themselves show how far it is
            answers = _watched(answers, len(left))
        write = write_json if arguments.json else write_csv if arguments.csv else write_table
        failed = write(answers, sys.stdout)
        return 1 if failed or (objects and objects.failed) else 0
    failed = file.write(_faults_told(_watched(answers, len(left))))
    before = f", {len(films) - len(left)} were there before" if len(films) > len(left) else ""
    print(f"{arguments.out}: {len(left)} films{before}, {failed} failed.", file=sys.stderr)
    return 1 if failed or (objects and objects.failed) else 0


def _faults_told(answers: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, Any]]:
    """The same answers; why a film failed is told on the way."""
    from .output.sidecars import tell_fault

    for film, answer in answers:
        if isinstance(answer, KneeOAError):
            tell_fault(film, answer)
        yield film, answer


def _cores() -> int:
    """Cores that this process may use; before Python 3.13 only Linux tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _watched(answers: Iterable[tuple[str, Any]], count: int) -> Iterable[tuple[str, Any]]:
    """The same answers, with a bar on a terminal."""
    from tqdm import tqdm  # the Hub's client brings it

    return tqdm(answers, total=count, unit="film", disable=None, file=sys.stderr)


def _pull(arguments: argparse.Namespace) -> int:
    from .hub.pull_push import revision_of

    folder = _folder(arguments)
    print(json.dumps({"folder": str(folder), "revision": revision_of(folder)}) if arguments.json else folder)
    return 0


def _push(arguments: argparse.Namespace) -> int:
    from .hub.client import check_client
    from .hub.pull_push import Upload, deliver

    check_client()
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty() and constants.HF_HUB_DISABLE_PROGRESS_BARS is None:
        disable_progress_bars()  # the Hub's client draws those of an upload in a pipe, too
    upload = Upload(
        arguments.tag,
        arguments.branch,
        arguments.pull_request,
        arguments.private,
        arguments.message,
        arguments.edited_card,
        arguments.dry_run,
    )
    done = deliver(Path(arguments.bundle), arguments.address, upload)
    if arguments.json:
        files = [{"name": name, "size": size} for name, size in done.files]
        print(json.dumps({"address": done.address, "dry_run": upload.dry_run, "files": files, "removed": done.removed}))
        return 0
    if upload.dry_run:
        for name, size in done.files:
            print(f"would send    {name} ({size / 1e6:.2f} MB)")
        for name in done.removed:
            print(f"would remove  {name}")
        if not done.files:
            print("would send nothing: it is there already")
    print(f"{'would be' if upload.dry_run else 'published:'} {done.address}")
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from .bundle import read_bundle
    from .card.render import summary
    from .hub.pull_push import revision_of

    bundle = read_bundle(_folder(arguments))
    config, evidence = bundle.config, bundle.evidence
    if arguments.json:
        print(
            json.dumps(
                {
                    "bundle": config.to_dict(),
                    "evidence": evidence.to_dict(),
                    "digest": bundle.digest,
                    "revision": revision_of(bundle.folder),
                }
            )
        )
        return 0
    print(f"{config.name} {config.version}, {bundle.digest}, {bundle.folder}")
    print(
        f"input {config.input.height}x{config.input.width}, {len(config.members)} member(s), grade by"
        f" {config.decision.rule}"
    )
    print("\n".join(summary(evidence)))
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from .bundle import read_bundle
    from .hub.pull_push import revision_of

    bundle = read_bundle(_folder(arguments))
    if arguments.json:
        print(
            json.dumps({"folder": str(bundle.folder), "revision": revision_of(bundle.folder), "digest": bundle.digest})
        )
        return 0
    print(f"{bundle.folder}: every file is as the manifest {bundle.digest} says")
    return 0


def _card(arguments: argparse.Namespace) -> int:
    from .bundle import read_bundle
    from .card.render import render

    bundle = read_bundle(_folder(arguments))
    text = render(bundle.config, bundle.evidence, arguments.figures)
    if arguments.json:
        print(json.dumps({"name": bundle.config.name, "version": bundle.config.version, "text": text}))
        return 0
    sys.stdout.write(text)
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from .hub.presets import list_pretrained

    presets = list_pretrained()
    if arguments.json:
        print(json.dumps([asdict(preset) for preset in presets], default=str))
        return 0
    for preset in presets:
        print(preset)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Carries out the commands about bundles: `kneeoa pull`, `push`, `info`, `verify`, `card` and `list`."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..bundle import Bundle


def pull(arguments: argparse.Namespace) -> int:
    """Print the folder of a verified bundle."""
    from ..hub.pull_push import pull as pull_folder
    from ..hub.pull_push import revision_of

    folder = pull_folder(arguments.address, revision=arguments.revision, local_files_only=arguments.offline)
    print(json.dumps({"folder": str(folder), "revision": revision_of(folder)}) if arguments.json else folder)
    return 0


def push(arguments: argparse.Namespace) -> int:
    """Publish a bundle, and print its address and, in a dry run, what would be sent."""
    from ..hub.client import check_client
    from ..hub.pull_push import push_bundle
    from ..hub.push_options import PushOptions

    check_client()
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty() and constants.HF_HUB_DISABLE_PROGRESS_BARS is None:
        disable_progress_bars()  # the Hub's client draws the bars of an upload in a pipe too
    options = PushOptions(
        arguments.tag,
        arguments.branch,
        arguments.pull_request,
        arguments.private,
        arguments.message,
        arguments.edited_card,
        arguments.dry_run,
    )
    done = push_bundle(Path(arguments.bundle), arguments.address, options)
    if arguments.json:
        files = [{"name": name, "size": size} for name, size in done.files]
        print(
            json.dumps({"address": done.address, "dry_run": options.dry_run, "files": files, "removed": done.removed})
        )
        return 0
    if options.dry_run:
        for name, size in done.files:
            print(f"would send    {name} ({size / 1e6:.2f} MB)")
        for name in done.removed:
            print(f"would delete  {name}")
        if not done.files:
            print("would send nothing: it is there already")
    print(f"{'would be' if options.dry_run else 'published:'} {done.address}")
    return 0


def info(arguments: argparse.Namespace) -> int:
    """Print what a bundle is, and what it measured."""
    from ..card.render import rule, summary
    from ..hub.pull_push import revision_of

    bundle = _bundle(arguments)
    config, evidence = bundle.config, bundle.evidence
    if arguments.json:
        document = {
            "bundle": config.to_dict(),
            "evidence": evidence.to_dict(),
            "digest": bundle.digest,
            "revision": revision_of(bundle.folder),
        }
        print(json.dumps(document))
        return 0
    members = "1 member" if len(config.members) == 1 else f"{len(config.members)} members"
    print(f"{config.name} {config.version}, {bundle.digest}, {bundle.folder}")
    print(f"input of {config.input.height} x {config.input.width} pixels; {members}; it reports {rule(config)}")
    print("\n".join(summary(evidence)))
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Check every file of a bundle."""
    from ..hub.pull_push import revision_of

    bundle = _bundle(arguments)
    if arguments.json:
        document = {"folder": str(bundle.folder), "revision": revision_of(bundle.folder), "digest": bundle.digest}
        print(json.dumps(document))
        return 0
    print(f"{bundle.folder}: every file agrees with the manifest {bundle.digest}")
    return 0


def card(arguments: argparse.Namespace) -> int:
    """Print the model card of a bundle."""
    from ..card.render import render

    bundle = _bundle(arguments)
    text = render(bundle.config, bundle.evidence, arguments.figures)
    if arguments.json:
        print(json.dumps({"name": bundle.config.name, "version": bundle.config.version, "text": text}))
        return 0
    sys.stdout.write(text)
    return 0


def list_models(arguments: argparse.Namespace) -> int:
    """Print the shipped bundles."""
    from ..hub.presets import list_pretrained

    models = list_pretrained()
    if arguments.json:
        print(json.dumps([asdict(model) for model in models]))
        return 0
    for model in models:
        print(model)
    return 0


def _bundle(arguments: argparse.Namespace) -> "Bundle":
    from ..hub.pull_push import pull_bundle

    return pull_bundle(arguments.address, revision=arguments.revision, local_files_only=arguments.offline)

"""Creates or updates a Space of your own in one commit: python -m spaces.deploy ORG/NAME --model ORG/MODEL@REVISION

The Space holds app.py and `demo/` at its root, the library beside them, and the pin of its model. The weights stay in
their own repo. docs/space.md describes it.
"""

import io
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kneeoa_hub import KneeOAError, pull
from kneeoa_hub.errors import AddressError, HubUnreachable
from kneeoa_hub.escaping import CommandParser
from kneeoa_hub.hub import versioned
from kneeoa_hub.hub.address import Repo, parse_address
from kneeoa_hub.hub.client import hub_session
from kneeoa_hub.hub.pull_push import revision_of
from kneeoa_hub.hub.retry import with_retries

from .demo.pinned import PIN

ROOT = Path(__file__).parent.parent
OWN = ("app.py", "README.md", "requirements.txt", PIN)
OWN_FOLDERS = ("demo/", "kneeoa_hub/", "docs/evidence/search/")
"""A deployment replaces these folders as a whole, and leaves other files of the Space alone. The last one is of
deployments up to 0.14.0."""


def space_files(model: str, revision: str, preloaded: Sequence[str] = ()) -> dict[str, bytes]:
    """Return every file of a Space by its path there. The library goes without its weights, since the Space pulls them.

    Args:
        model: The Hub repo of the model.
        revision: The whole commit to which the weights are pinned.
        preloaded: The files of that commit that the build of the Space fetches.
    """
    here = ROOT / "spaces"
    files = {name: (here / name).read_bytes() for name in ("app.py", "requirements.txt")}
    metadata = f"models:\n- {model}\n" + (
        f"preload_from_hub:\n- {model} {','.join(preloaded)} {revision}\n" if preloaded else ""
    )
    files["README.md"] = (here / "README.md").read_text("utf-8").replace("\n---\n", f"\n{metadata}---\n", 1).encode()
    files[PIN] = (json.dumps({"model": model, "revision": revision}, indent=1) + "\n").encode()
    for folder, root in (("demo", here), ("kneeoa_hub", ROOT)):
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_file() and "__pycache__" not in name and not name.startswith("kneeoa_hub/pretrained/"):
                files[name] = path.read_bytes()
    return files


def deploy(
    space: str, model: str, *, token: str | None = None, private: bool = False, dry_run: bool = False
) -> list[str]:
    """Bring the demo of a model to a Space, and return the paths of its files.

    The model is pulled and verified first, so a Space never starts with weights that cannot be loaded. The same
    deployment again changes nothing.

    Args:
        space: The Space, org/name.
        model: The model, org/name@revision.
        token: A token that may write; by default the stored one.
        private: Whether a new Space is private.
        dry_run: Whether to check and list only.

    Raises:
        AddressError: A name is malformed, or the model is not pinned.
        BundleError: The model cannot be loaded.
        HubError: The Hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi, constants

    if re.fullmatch(r"[\w.-]+/[\w.-]+", space) is None:
        raise AddressError(f"{space!r} is not the name of a Space; give ORG/NAME.")
    address = parse_address(model)
    if not isinstance(address, Repo) or not address.revision:
        raise AddressError(
            f"{model!r} is not pinned; give a Hub repo with a tag or commit, ORG/MODEL@REVISION, so that the Space"
            " keeps its weights."
        )
    if constants.is_offline_mode():
        raise HubUnreachable(f"{space} can't be deployed to while HF_HUB_OFFLINE is set; unset it.")
    folder = pull(model, token=token)
    api = HfApi(token=token)
    with hub_session(address.name):
        info = with_retries(lambda: api.model_info(address.name, timeout=10))
    # The build of a Space has no token, so it cannot fetch a private model; the running Space does, by HF_TOKEN.
    names = () if info.private or info.gated else versioned.published_files(folder)
    files = space_files(address.name, revision_of(folder), names)
    if not dry_run:
        with hub_session(space):
            with_retries(lambda: _commit(api, space, files, f"Demo of {model}", private))
    return list(files)


def _commit(api: Any, space: str, files: dict[str, bytes], message: str, private: bool) -> None:
    """Make the Space if it is missing, and replace what an earlier deployment has left, in one commit."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    api.create_repo(space, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
    head = api.space_info(space, timeout=10)
    there = {file.rfilename for file in head.siblings or ()}
    stale = sorted(name for name in there - set(files) if name in OWN or name.startswith(OWN_FOLDERS))
    operations = [CommitOperationAdd(name, io.BytesIO(content)) for name, content in files.items()]
    operations += [CommitOperationDelete(name) for name in stale]
    api.create_commit(space, operations, commit_message=message, repo_type="space", parent_commit=head.sha)


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploy by the command line. Return 0 when it is done, 1 when it failed, 2 for a wrong option or address."""
    parser = CommandParser(
        prog="python -m spaces.deploy", description="Create or update a Space that serves a model of yours."
    )
    parser.add_argument("space", metavar="ORG/NAME", help="the Space; the command makes it where there is none")
    parser.add_argument(
        "--model", required=True, metavar="ORG/MODEL@REVISION", help="the weights, pinned to a tag or commit"
    )
    parser.add_argument("--private", action="store_true", help="make a new Space private")
    parser.add_argument("--dry-run", action="store_true", help="check the model and list the files, but change nothing")
    options = parser.parse_args(arguments)
    try:
        names = deploy(options.space, options.model, private=options.private, dry_run=options.dry_run)
    except KneeOAError as error:
        print(error.message, file=sys.stderr)
        return 2 if isinstance(error, AddressError) else 1
    for name in names:
        print(name)
    print(
        f"{len(names)} files {'would go' if options.dry_run else 'went'} to the Space {options.space}, in one commit."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

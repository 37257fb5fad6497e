"""Step 6: push a bundle with its card to a versioned folder or a Hub repo, under a tag.

python -m tuning publish --data runs/bundle --out ./hub/kneeoa --tag v1.0
"""

from pathlib import Path

from kneeoa_hub.hub.pull_push import push


def publish(bundle: Path, address: str | Path, *, tag: str | None = None, private: bool = False) -> str:
    """Push a bundle; returns an address that `kneeoa_hub.from_pretrained` accepts.

    Args:
        bundle: The bundle's folder.
        address: A versioned folder, or org/name on the Hub.
        tag: A name for this revision, such as v1.0.
        private: Make a new Hub repo private.
    """
    return push(bundle, address, tag=tag, private=private)

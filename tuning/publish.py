"""Step 6: push a bundle with its card to a versioned folder or a Hub repo, under a tag."""

from pathlib import Path

from kneeoa_hub.hub.pull_push import push


def publish(bundle: Path, address: str | Path, *, tag: str | None = None, private: bool = False) -> str:
    """Returns an address that `kneeoa_hub.from_pretrained` accepts."""
    return push(bundle, address, tag=tag, private=private)

"""Runs the public demo. A Space runs this file from its root, beside `demo/`; a checkout by `python -m spaces.app`."""

import os
import signal
import sys
import tempfile
from pathlib import Path

from kneeoa_hub.third_party import lighten_gradio, prepare_network, prepare_streams

if __name__ == "__main__":  # before Gradio is imported, which reads all of it
    prepare_streams()
    lighten_gradio()
    for ignored in prepare_network():
        print(ignored, file=sys.stderr)
    # Only a folder of its own may be swept.
    os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="kneeoa-films-", dir=os.environ.get("GRADIO_TEMP_DIR"))

if __package__:
    from .demo.cleanup import DELETE_AFTER_S, DELETE_EVERY_S, swept
    from .demo.page import build_demo
    from .demo.serve import demo_of, load_demo, serve
else:
    from demo.cleanup import DELETE_AFTER_S, DELETE_EVERY_S, swept
    from demo.page import build_demo
    from demo.serve import demo_of, load_demo, serve

__all__ = ["build_demo", "load_demo", "main"]


def main() -> None:
    """Serve the model that the settings name, or the pin beside this file."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that the films are deleted at a stop, too
    demo, settings = demo_of(Path(__file__).parent)
    with swept(Path(os.environ["GRADIO_TEMP_DIR"]), DELETE_EVERY_S, DELETE_AFTER_S):
        serve(demo, settings)


if __name__ == "__main__":
    main()

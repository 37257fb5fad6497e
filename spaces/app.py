"""The public demo. A Space runs this file from its root, beside `demo/`; in a checkout: python -m spaces.app"""

from pathlib import Path

if __package__:
    from .demo.page import build_demo
    from .demo.pin import settings_of
    from .demo.serve import load_demo, serve
else:
    from demo.page import build_demo  # pyright: ignore[reportMissingImports]
    from demo.pin import settings_of  # pyright: ignore[reportMissingImports]
    from demo.serve import load_demo, serve  # pyright: ignore[reportMissingImports]

__all__ = ["build_demo", "load_demo", "main"]


def main() -> None:
    """Serve the model that the settings or the pin beside this file name."""
    settings = settings_of(Path(__file__).parent)
    serve(load_demo(settings), settings)


if __name__ == "__main__":
    main()

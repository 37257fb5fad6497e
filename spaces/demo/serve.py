"""Makes a running page from settings: the demo of a model, and the options with which Gradio starts."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from kneeoa_hub import KneeOAError, from_pretrained
from kneeoa_hub.settings import Settings

from .bodies import SmallBodies, bound_fields
from .page import CONCURRENCY, MAX_FILMS, build_demo, unavailable
from .pinned import settings_of
from .theme import THEME, head


def demo_of(folder: Path) -> tuple[gr.Blocks, Settings]:
    """Return the demo of a Space's folder with its settings, or a page that says why these cannot be read."""
    try:
        settings = settings_of(folder)
    except KneeOAError as error:
        return unavailable(error.message), Settings()
    return load_demo(settings), settings


def load_demo(settings: Settings) -> gr.Blocks:
    """Return the demo of the model in the settings, or a page that says why there is none."""
    try:
        return build_demo(
            from_pretrained(
                settings.model or None,
                revision=settings.revision or None,
                threads=settings.threads,
                decode_process=settings.decode_process or CONCURRENCY,
            )
        )
    except KneeOAError as error:
        return unavailable(error.message)


def serve(demo: gr.Blocks, settings: Settings, **options: Any) -> tuple[Any, str, str]:
    """Start the page as a public demo: it records nothing and shows nothing of the inside of an error.

    Args:
        demo: The page.
        settings: The limits of a film.
        options: Further options of `launch`.
    """
    bound_fields()
    return demo.launch(
        max_file_size=settings.max_bytes,
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        footer_links=["api"],
        mcp_server=find_spec("mcp") is not None,
        theme=THEME,
        head=head(),
        app_kwargs={"middleware": [Middleware(SmallBodies, max_bytes=settings.max_bytes, max_films=MAX_FILMS)]},
        **options,
    )

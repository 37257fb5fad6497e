"""What a bundle must be before others are offered it: whole, described, measured, and able to grade a film."""

from .bundle import Bundle
from .errors import BundleError, BundleIncomplete, KneeOAError

METADATA = {"library_name": "keras", "pipeline_tag": "image-classification", "license": None}
"""What the card's metadata must say for the Hub to show the model as what it is; None is anything."""


def check_publishable(bundle: Bundle) -> None:
    """Raises BundleError kinds that say what is missing; the bundle's files were verified before."""
    if not bundle.evidence.get("metrics"):
        raise BundleIncomplete(f"{bundle.folder}: evidence.json holds no measured figures; run `python -m tuning evaluate` and export again.")
    _check_card(bundle)
    _check_grades(bundle)


def _check_card(bundle: Bundle) -> None:
    from huggingface_hub import metadata_load

    path = bundle.folder / "README.md"
    if not path.is_file():
        raise BundleIncomplete(f"{bundle.folder}: README.md, the model card, is missing; write it with `kneeoa card {bundle.folder} > README.md`.")
    try:
        metadata = metadata_load(path) or {}
    except Exception as error:  # of YAML, and of what the client makes of it
        raise BundleError(f"{path}: its metadata is not YAML ({' '.join(str(error).split())}); write it anew with `kneeoa card`.") from None
    for name, wanted in METADATA.items():
        if not metadata.get(name) or (wanted and metadata[name] != wanted):
            raise BundleError(f"{path}: its metadata says {name}: {metadata.get(name)}, and {wanted or 'one'} is wanted; write it anew with `kneeoa card`.")


def _check_grades(bundle: Bundle) -> None:
    from .grader import KneeGrader
    from .imaging.phantom import sample_films

    film = next(iter(sample_films().values()))
    try:
        report = KneeGrader(bundle).grade(film.pixels, force=True)
    except KneeOAError:
        raise
    except Exception as error:  # whatever a graph that fits no contract may cause
        raise BundleError(f"{bundle.folder}: it can't grade a sample film ({type(error).__name__}: {error}); export it again.") from None
    if not report.knees:
        raise BundleError(f"{bundle.folder}: it finds no knee in a sample film; export it again.")

"""Every error that reaches a user. Each class has a stable `code` and the HTTP status that it maps to."""


class KneeOAError(Exception):
    """Base of all errors of this package. The message says what was received and what to do."""

    code = "error"
    status = 400

    def __init__(self, message: str):
        super().__init__(message)
        self.message = message


class FilmError(KneeOAError):
    """A film that can't be graded as given."""

    code = "film"
    status = 422


class EmptyFilm(FilmError):
    """Nothing was received: zero bytes."""

    code = "film-empty"
    status = 400


class UnsupportedFilm(FilmError):
    """The bytes are not in a format that is read."""

    code = "film-unsupported"
    status = 415


class DamagedFilm(FilmError):
    """The format is known, but the file is truncated or corrupt."""

    code = "film-damaged"


class FilmTooLarge(FilmError):
    """Over the limit on bytes or pixels."""

    code = "film-too-large"
    status = 413


class FilmTooSmall(FilmError):
    """Under the least number of pixels on the shorter side."""

    code = "film-too-small"


class SeveralFrames(FilmError):
    """More than one frame or page in the file."""

    code = "film-several-frames"


class FilmNotFound(FilmError):
    """No readable file at the path."""

    code = "film-not-found"
    status = 400


class BundleError(KneeOAError):
    """A bundle that can't be trusted or understood."""

    code = "bundle"
    status = 500


class BundleIncomplete(BundleError):
    """A file of the bundle is missing."""

    code = "bundle-incomplete"


class BundleChanged(BundleError):
    """A file differs from the manifest's sha256, or is not listed there."""

    code = "bundle-changed"


class BundleUnsupported(BundleError):
    """A schema version that this release does not know."""

    code = "bundle-unsupported"


class AddressError(KneeOAError):
    """A model's address that can't be understood, or names nothing."""

    code = "address"


class HubError(KneeOAError):
    """The Hub could not give or take a model."""

    code = "hub"
    status = 502


class HubNotFound(HubError):
    """The Hub has no such repo, revision or file."""

    code = "hub-not-found"


class HubDenied(HubError):
    """The Hub wants a token, another token, or an accepted agreement."""

    code = "hub-denied"


class HubUnreachable(HubError):
    """No answer from the Hub within the bound, and nothing usable in the cache."""

    code = "hub-unreachable"


class HubConflict(HubError):
    """The Hub or folder already holds something else under that name or tag."""

    code = "hub-conflict"


class DataError(KneeOAError):
    """Training films, labels or a step's input that can't be used."""

    code = "data"


class OutputError(KneeOAError):
    """A place where nothing can be written: no space, no permission."""

    code = "output"
    status = 500


class SettingsError(KneeOAError):
    """An environment variable or option with a value that can't be used."""

    code = "settings"
    status = 500


class MissingExtra(KneeOAError):
    """A part that needs packages which are not installed."""

    code = "missing-extra"
    status = 501

"""Defines the errors that reach a user. Each class has a stable `code` and the HTTP status that it maps to."""

import re

_FOR_OPERATORS = re.compile(r",? or (?:raise|set) KNEEOA_\w+(?:=\w+)?")
"""Only the operator of a server can follow this advice, so messages for visitors leave it out."""
_CLASS = re.compile(r" \(\w*(?:[eE]rror|Exception)\)|(?<=\()\w*(?:[eE]rror|Exception): ")
"""The class of an error in Python, which says nothing to a reader of films."""


class KneeOAError(Exception):
    """This is the base class of all errors of the package. The message says what was received and what to do."""

    code = "error"
    status = 400

    def __init__(self, message: str):
        super().__init__(message)
        self.message = message

    @property
    def for_visitors(self) -> str:
        """The message for somebody who uses another person's server, and cannot change its settings."""
        return _FOR_OPERATORS.sub("", self.plain)

    @property
    def plain(self) -> str:
        """The message without the class of an error in Python, for pages."""
        return _CLASS.sub("", self.message)


class FilmError(KneeOAError):
    """The film cannot be graded as given."""

    code = "film"
    status = 422


class EmptyFilm(FilmError):
    """The file has zero bytes."""

    code = "film-empty"
    status = 400


class UnsupportedFilm(FilmError):
    """The format of the file is not supported."""

    code = "film-unsupported"
    status = 415


class DamagedFilm(FilmError):
    """The format is known, but the file is truncated or corrupt."""

    code = "film-damaged"


class FilmTooLarge(FilmError):
    """The film is over the limit on bytes or pixels, or takes far more memory or time than a film needs."""

    code = "film-too-large"
    status = 413


class FilmTooSmall(FilmError):
    """The shorter side of the film has too few pixels."""

    code = "film-too-small"


class SeveralFrames(FilmError):
    """The file holds more than one frame or page."""

    code = "film-several-frames"


class FilmNotFound(FilmError):
    """There is no readable file at the path."""

    code = "film-not-found"
    status = 400


class BundleError(KneeOAError):
    """The bundle cannot be trusted or understood."""

    code = "bundle"
    status = 500


class BundleIncomplete(BundleError):
    """A file of the bundle is missing."""

    code = "bundle-incomplete"


class BundleChanged(BundleError):
    """A file differs from its SHA-256 in the manifest, or may not be in a bundle."""

    code = "bundle-changed"


class BundleUnsupported(BundleError):
    """This release does not know the schema version of the bundle."""

    code = "bundle-unsupported"


class AddressError(KneeOAError):
    """The address of a model cannot be understood, or names nothing."""

    code = "address"


class HubError(KneeOAError):
    """The Hub could not give or take a model."""

    code = "hub"
    status = 502


class HubNotFound(HubError):
    """The Hub has no such repo, revision or file."""

    code = "hub-not-found"


class HubDenied(HubError):
    """The Hub requires a token, another token, or an accepted agreement."""

    code = "hub-denied"


class HubUnreachable(HubError):
    """The Hub did not answer in time, and the cache holds nothing usable."""

    code = "hub-unreachable"


class HubConflict(HubError):
    """The Hub or the folder already holds something else under that name or tag."""

    code = "hub-conflict"


class ArchiveError(KneeOAError):
    """The archive refused a request, or gave an answer that cannot be used."""

    code = "archive"
    status = 502


class ArchiveUnreachable(ArchiveError):
    """The archive does not answer, or rejects the token."""

    code = "archive-unreachable"


class DataError(KneeOAError):
    """Training films, labels or the input of a step cannot be used."""

    code = "data"


class OutputError(KneeOAError):
    """The output cannot be written: there is no space or no permission."""

    code = "output"
    status = 500


class SettingsError(KneeOAError):
    """An environment variable or an option has a value that cannot be used."""

    code = "settings"
    status = 500


class MissingExtra(KneeOAError):
    """A part needs packages that are not installed."""

    code = "missing-extra"
    status = 501

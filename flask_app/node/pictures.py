"""Knows a film that comes again in another transfer syntax, as an archive sends what a modality has sent before."""

from dataclasses import replace
from functools import cached_property

import numpy as np

from kneeoa_hub.errors import KneeOAError
from kneeoa_hub.imaging.decode_process import DecodeProcesses
from kneeoa_hub.imaging.film import Film, Limits
from kneeoa_hub.imaging.identity import FilmIdentity, read_identity

from .digests import Digests
from .records import KeptFilm


class Pictures:
    """Compares films by their pictures. A process beside this one decodes them, so that no film ends the receiver.

    Args:
        limits: The limits on a film.
    """

    def __init__(self, limits: Limits):
        self._limits = limits

    @cached_property
    def _decode(self) -> DecodeProcesses:
        return DecodeProcesses(1, self._limits)

    def in_terms_of(self, kept: KeptFilm, film: bytes, identity: FilmIdentity, digests: Digests) -> Digests | None:
        """Return a film's digests, with those of the kept film for what both have in common.

        Args:
            kept: The film that came before under the same UID.
            film: The file.
            identity: Its identity.
            digests: Its own digests.

        Returns:
            The digests, or None if the pictures differ or one of them cannot be decoded.
        """
        try:
            before, now = (self._decode(one, "The film", self._limits) for one in (kept.content, film))
        except KneeOAError:
            return None
        if not np.array_equal(before.pixels, now.pixels):
            return None
        same = read_identity(kept.content) == identity and _stated(before) == _stated(now)
        return replace(digests, pixels=kept.digests.pixels, header=kept.digests.header if same else digests.header)


def _stated(film: Film) -> tuple[object, ...]:
    return film.side, film.orientation, film.ruled_out, film.aspect

"""What can go wrong, besides wrong arguments, which are a `ValueError` or a `TypeError`."""

from __future__ import annotations

__all__ = [
    "AlignmentError",
    "AnchorError",
    "ArtefactError",
    "ColdstartError",
    "DataError",
    "DownloadError",
    "FitError",
    "MissingLibraryError",
    "SpaceError",
    "UnknownIdError",
]


class ColdstartError(Exception):
    """Base of the errors of this package; takes one plain message."""


class DataError(ColdstartError, ValueError):
    """Interactions, ids, weights or a file hold something they must not."""


class DownloadError(ColdstartError):
    """A file could not be fetched, or is not the one that was expected."""


class UnknownIdError(ColdstartError, KeyError):
    """An id is in no vocabulary that was asked."""

    def __str__(self) -> str:
        """Show the message as it is; `KeyError` alone would show its repr."""
        return Exception.__str__(self)


class AnchorError(ColdstartError):
    """Two catalogs share no ids, or too few for what was asked."""


class AlignmentError(AnchorError):
    """Without anchors two catalogs cannot be aligned, or no better than by chance."""


class MissingLibraryError(AlignmentError, ImportError):
    """Catalogs can be aligned only by a library that is not installed."""


class SpaceError(AlignmentError, ValueError):
    """Two catalogs cannot lie in one space, as an adapter takes them to."""


class FitError(ColdstartError):
    """A fit ended in factors that are not finite."""


class ArtefactError(ColdstartError):
    """A saved model is damaged, incomplete, or of a version that this one does not read."""

"""Interaction logs, features and embeddings: read from files, or drawn from a known model."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from coldstart.datasets.embeddings import read_factors
from coldstart.datasets.files import read_features, read_interactions, read_titles

__all__ = [
    "make_cross_domain",
    "read_factors",
    "read_features",
    "read_interactions",
    "read_titles",
]

if TYPE_CHECKING:
    from coldstart.datasets.synthetic import make_cross_domain
else:  # hidden from the type checker, to which every misspelt name would be known otherwise

    def __getattr__(name: str) -> object:
        if name != "make_cross_domain":
            raise AttributeError(f"module 'coldstart.datasets' has no attribute {name!r}")
        return import_module("coldstart.datasets.synthetic").make_cross_domain


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

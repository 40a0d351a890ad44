"""Adapters: ways from source embeddings to a prior over target embeddings."""

from __future__ import annotations

from .base import Adapter, AnchorContext
from .baselines import MeanAdapter
from .linear import RidgeAdapter

__all__ = ["ADAPTERS", "Adapter", "AnchorContext", "MeanAdapter", "RidgeAdapter", "named"]

ADAPTERS: dict[str, type[MeanAdapter] | type[RidgeAdapter]] = {
    "mean": MeanAdapter,
    "ridge": RidgeAdapter,
}
"""Adapters by the name that evaluations and saved models use."""


def named(name: str) -> MeanAdapter | RidgeAdapter:
    """A new adapter with default settings, by its name in `ADAPTERS`."""
    if name not in ADAPTERS:
        raise ValueError(f"unknown adapter {name!r}: known are {', '.join(sorted(ADAPTERS))}")
    return ADAPTERS[name]()

"""Adapters: ways from source embeddings to a prior over target embeddings."""

from __future__ import annotations

from collections.abc import Callable

from .auto import AutoAdapter
from .base import Adapter, AnchorContext
from .baselines import MeanAdapter
from .canonical import CanonicalAdapter
from .content import ContentAdapter
from .fused import FusedAdapter
from .identity import IdentityAdapter
from .kernel import KernelAdapter
from .linear import RidgeAdapter
from .mixture import MixtureAdapter
from .neighbour import NeighbourAdapter
from .procrustes import ProcrustesAdapter
from .regressor import RegressorAdapter
from .task import TaskAdapter
from .transport import TransportAdapter

__all__ = [
    "ADAPTERS",
    "Adapter",
    "AnchorContext",
    "AutoAdapter",
    "CanonicalAdapter",
    "ContentAdapter",
    "FusedAdapter",
    "IdentityAdapter",
    "KernelAdapter",
    "MeanAdapter",
    "MixtureAdapter",
    "NeighbourAdapter",
    "ProcrustesAdapter",
    "RegressorAdapter",
    "RidgeAdapter",
    "TaskAdapter",
    "TransportAdapter",
    "named",
]

ADAPTERS: dict[str, Callable[..., Adapter]] = {
    "auto": AutoAdapter,
    "canonical": CanonicalAdapter,
    "content": ContentAdapter,
    "fused": FusedAdapter,
    "identity": IdentityAdapter,
    "kernel": KernelAdapter,
    "mean": MeanAdapter,
    "mixture": MixtureAdapter,
    "neighbour": NeighbourAdapter,
    "procrustes": ProcrustesAdapter,
    "regressor": RegressorAdapter,
    "ridge": RidgeAdapter,
    "task": TaskAdapter,
    "transport": TransportAdapter,
}
"""Adapters by the name that evaluations and saved models use."""


def named(name: str) -> Adapter:
    """A new adapter with default settings, by its name in `ADAPTERS`."""
    if name not in ADAPTERS:
        raise ValueError(f"unknown adapter {name!r}: known are {', '.join(sorted(ADAPTERS))}")
    return ADAPTERS[name]()

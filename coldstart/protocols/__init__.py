"""Protocols: who is tested, what may be fitted, and what comes back."""

from .anchors import FewAnchors
from .cold import Cold
from .drawn import Drawn
from .launch import Launch
from .mixed import Mixed
from .named import LEVELS, PROTOCOLS, series
from .sampled import Sampled
from .split import Hiding, Known, Split, task_of
from .temporal import Temporal

__all__ = [
    "LEVELS",
    "PROTOCOLS",
    "Cold",
    "Drawn",
    "FewAnchors",
    "Hiding",
    "Known",
    "Launch",
    "Mixed",
    "Sampled",
    "Split",
    "Temporal",
    "series",
    "task_of",
]

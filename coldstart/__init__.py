"""Warm starts for recommenders: what a rich catalog knows becomes a prior for a new one.

The public names are imported when first asked for, so that ``import coldstart`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = [
    "ColdstartError",
    "Factors",
    "Features",
    "Interactions",
    "Prior",
    "PriorALS",
    "WarmStart",
    "__version__",
    "diagnose",
    "evaluate",
]

_HOMES = {
    "ColdstartError": "coldstart.errors",
    "Factors": "coldstart.factors",
    "Features": "coldstart.features",
    "Interactions": "coldstart.interactions",
    "Prior": "coldstart.prior",
    "PriorALS": "coldstart.als",
    "WarmStart": "coldstart.warmstart",
    "diagnose": "coldstart.diagnosis",
    "evaluate": "coldstart.evaluation",
}

if TYPE_CHECKING:
    from coldstart.als import PriorALS
    from coldstart.diagnosis import diagnose
    from coldstart.errors import ColdstartError
    from coldstart.evaluation import evaluate
    from coldstart.factors import Factors
    from coldstart.features import Features
    from coldstart.interactions import Interactions
    from coldstart.prior import Prior
    from coldstart.warmstart import WarmStart

    __version__: str
else:  # hidden from the type checker, to which every misspelt name would be known otherwise

    def __getattr__(name: str) -> object:
        if name == "__version__":
            value = import_module("importlib.metadata").version("coldstart")
        elif name in _HOMES:
            value = getattr(import_module(_HOMES[name]), name)
        else:
            raise AttributeError(f"module 'coldstart' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

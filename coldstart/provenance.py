"""Where a fitted model comes from: what its catalogs were, and by which versions it was made."""

from __future__ import annotations

import hashlib
import platform
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from coldstart.factors import Factors
from coldstart.interactions import Interactions
from coldstart.vocabulary import Vocabulary

__all__ = ["described", "libraries"]

LIBRARIES = ("coldstart", "numpy", "scipy", "implicit", "lightfm-next")


def libraries() -> dict[str, str]:
    """Versions of what a model may have been made with, as far as it is installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def described(source: Interactions | Factors, target: Interactions) -> dict[str, Any]:
    """Sizes and hashes of the catalogs of a fit, and when it was."""
    return {
        "source": _catalog(source),
        "target": _catalog(target),
        "fitted": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _catalog(catalog: Interactions | Factors) -> dict[str, Any]:
    sizes = {"users": len(catalog.users), "items": len(catalog.items)}
    if isinstance(catalog, Factors):
        arrays = catalog.user_factors, catalog.item_factors
        biases = [b for b in (catalog.user_biases, catalog.item_biases) if b is not None]
        parts = [*arrays, *biases]
        told: dict[str, Any] = {"kind": "factors", **sizes, "width": catalog.width}
    else:
        matrix = catalog.user_items
        parts = [matrix.indptr, matrix.indices, matrix.data]
        told = {"kind": "interactions", **sizes, "interactions": catalog.nnz}
    return {**told, "sha256": _hash(catalog.users, catalog.items, *parts)}


def _hash(*parts: Any) -> str:
    """Of ids and arrays, whatever width of integers their platform gave them."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Vocabulary):
            for key in part:
                digest.update(f"{key}\x00".encode())
        else:
            kind = "<i8" if part.dtype.kind in "iu" else "<f4"
            digest.update(np.ascontiguousarray(part, kind).data)
        digest.update(b"\x01")
    return digest.hexdigest()

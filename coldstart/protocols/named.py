"""Protocols by name, and the levels of those that have some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .anchors import FewAnchors
from .cold import Cold
from .launch import Launch
from .mixed import Mixed
from .sampled import Sampled
from .split import Hiding
from .temporal import Temporal

__all__ = ["LEVELS", "PROTOCOLS", "series"]

PROTOCOLS: dict[str, type[Any]] = {
    protocol.name: protocol for protocol in (Cold, Mixed, Launch, Temporal, FewAnchors, Sampled)
}
"""Protocols by name."""

LEVELS: dict[str, tuple[str, tuple[float | None, ...]]] = {
    "launch": ("share", (0.05, 0.1, 0.3, 1.0)),
    "anchors": ("anchors", (10, 30, 100, None)),
}
"""What differs between the levels of a protocol, and which there are by default."""


def series(name: str, levels: Sequence[float] | None = None, **settings: Any) -> list[Hiding]:
    """The values of the protocol of that name, one for each level; one where it has none.

    `settings` that a protocol does not have are left out.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"unknown protocol {name!r}: known are {', '.join(PROTOCOLS)}")
    kind = PROTOCOLS[name]
    known = {key: value for key, value in settings.items() if key in kind.__dataclass_fields__}
    if name not in LEVELS:
        if levels is not None:
            raise ValueError(f"protocol {name} has no levels, got {levels!r}: leave them out")
        return [kind(**known)]
    knob, usual = LEVELS[name]
    asked = usual if levels is None else tuple(levels)
    if name == "anchors":
        wrong = [level for level in asked if level is not None and level != int(level)]
        if wrong:
            raise ValueError(f"anchors must be whole numbers, got {wrong[0]}")
        asked = tuple(None if level is None else int(level) for level in asked)
    return [kind(**{**known, knob: level}) for level in asked]

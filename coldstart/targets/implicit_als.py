"""implicit's own ALS: it knows no priors, so `PriorALS` with the same settings takes its place."""

from __future__ import annotations

from typing import Any

from coldstart.als import PriorALS

__all__ = ["upgraded"]


def upgraded(model: Any) -> PriorALS:
    """`PriorALS` with the settings of implicit's model (of the CPU), which stays as it is."""
    seed = model.random_state
    return PriorALS(
        model.factors,
        regularization=float(model.regularization),
        alpha=float(model.alpha),
        iterations=model.iterations,
        solver="cg" if model.use_cg else "cholesky",
        cg_steps=getattr(model, "cg_steps", 3),
        num_threads=model.num_threads,
        rng=seed if isinstance(seed, int) else None,
    )

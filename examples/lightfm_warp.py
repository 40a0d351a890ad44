"""Warm-start LightFM, and take in people and clicks that come later.

python examples/lightfm_warp.py
"""

import numpy as np
import polars as pl
from lightfm import LightFM

from coldstart import Interactions, WarmStart
from coldstart.adapters import RidgeAdapter
from coldstart.datasets import make_cross_domain


def main() -> None:
    """Fit, predict by LightFM itself, and update without training."""
    films, books = make_cross_domain(n_users=300, rng=0)
    settings = LightFM(16, loss="warp", random_state=0)
    warm = WarmStart(settings, RidgeAdapter(1.0, normalize=True), strength=1.0, gate=False, rng=0)
    warm.fit(films, books)

    model = warm.model_  # a trained LightFM
    scores = model.predict(0, np.arange(len(books.items)))
    best = [books.items.ids[i] for i in np.argsort(-scores)[:5]]
    print(f"LightFM, {next(iter(books.users))}: {best}")

    newcomer = next(user for user in films.users if user not in books.users)
    before, _ = warm.recommend([newcomer], n=5)
    clicks = pl.DataFrame({"user": [newcomer, "nobody knew"], "item": [before[0, 0], before[0, 1]]})
    warm.update(Interactions.from_frame(clicks))
    after, _ = warm.recommend([newcomer, "nobody knew"], n=5)
    print(f"{newcomer} before a click: {before[0].tolist()}")
    print(f"{newcomer} after it: {after[0].tolist()}")
    print(f"somebody new to both catalogs: {after[1].tolist()}")
    assert before[0, 0] not in after[0]


if __name__ == "__main__":
    main()

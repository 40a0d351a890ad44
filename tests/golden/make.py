"""Write the golden artefact of the present version of the format, and what it answers.

    python tests/golden/make.py [FOLDER]

writes `FOLDER/v4` and the like, beside this script by default, and `FOLDER/v4-bpr` and others for
models trained by gradients. Those of older versions were written by the coldstart of their time,
from the same catalogs.
"""

import json
import sys
from pathlib import Path

from implicit.bpr import BayesianPersonalizedRanking
from implicit.lmf import LogisticMatrixFactorization
from lightfm import LightFM

from coldstart import PriorALS, WarmStart
from coldstart.adapters import RidgeAdapter
from coldstart.datasets import make_cross_domain

HERE = Path(__file__).parent
N = 5
MODELS = {
    "": lambda: PriorALS(3, regularization=2.0, alpha=5.0, iterations=3, rng=0, num_threads=1),
    "-bpr": lambda: BayesianPersonalizedRanking(3, num_threads=1, random_state=0),
    "-lmf": lambda: LogisticMatrixFactorization(3, num_threads=1, random_state=0),
    "-lightfm": lambda: LightFM(3, loss="warp", random_state=0),
}


def made(model: str = "") -> WarmStart:
    """A small warm start whose gate is open, with people of the source alone."""
    catalogs = make_cross_domain(
        40, 16, 12, source_interactions=6, target_interactions=4, factors=3, rng=0
    )
    source, target = catalogs.source, catalogs.target
    adapter = RidgeAdapter(1.0, normalize=True)
    warm = WarmStart(MODELS[model](), adapter, strength=2.0, gate=False, rng=0)
    return warm.fit(source, target)


def answers(warm: WarmStart) -> dict:
    """Lists of everybody, and of some with a history."""
    users, items = sorted(warm.ids("users")), sorted(warm.ids("items"))
    ids, scores = warm.recommend(users, N)
    told, _ = warm.recommend(users[:3], N, history={users[0]: items[:2]})
    return {"ids": ids.tolist(), "scores": scores.round(4).tolist(), "told": told.tolist()}


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for model in MODELS:
        warm = made(model)
        warm.save(folder / "made")
        version = json.loads((folder / "made" / "manifest.json").read_text())["version"]
        (folder / "made").rename(folder / f"v{version}{model}")
        (folder / f"v{version}{model}.json").write_text(json.dumps(answers(warm)) + "\n")

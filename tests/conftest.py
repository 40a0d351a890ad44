"""A pool of people who were served by arms that are made up, for what is said of an evaluation."""

from dataclasses import dataclass

import numpy as np
import pytest

from coldstart.datasets import make_cross_domain
from coldstart.pool import Pool
from coldstart.protocols import Cold, task_of
from coldstart.sitting import sit

SHOTS = (0, 1, 3)


class MadeUp:
    """An arm whose scores are drawn once for everybody in the source, and raised where somebody
    will do something by a function of the number of shots.
    """

    def __init__(self, name, people, knows, *, uses_source, seed):
        self.name, self.uses_source, self.knows = name, uses_source, knows
        self.rng, self.told = np.random.default_rng(seed), {}
        for group in people:
            rows = group.held.matrix.toarray() > 0
            noise = self.rng.normal(size=rows.shape)
            told = list(zip(noise, rows, strict=True))
            self.told |= dict(zip(group.source.tolist(), told, strict=True))

    def fit(self, task):
        self.task = task
        return self

    def scorer(self, source, history, shots):
        del history
        rows = [noise + self.knows(shots) * rows for noise, rows in map(self.told.get, source)]
        return np.array(rows, np.float32).__getitem__

    def settings(self):
        return {}


@dataclass(frozen=True)
class Served:
    """A pool, and the logs that it is of."""

    pool: Pool
    source: object
    target: object


@pytest.fixture(scope="session")
def served():
    """Three arms: a strong and a weak one without a source, and one with it, which is better than
    both without shots and no better at the most.
    """
    sizes = {"source_interactions": 9.0, "target_interactions": 6.0}
    source, target = make_cross_domain(260, 50, 45, **sizes, factors=4, rng=5)
    split = Cold(test_share=0.3, active=3).split(source, target, side="users", seed=2)
    settings = {"metric": "ndcg", "n": 6, "factors": 4, "num_threads": 1, "side": "users"}
    task = task_of(split, source, shots=SHOTS, seed=2, **settings)
    groups = split.test, split.validation
    arms = [
        MadeUp("weak", groups, lambda k: 0.2 + 0.2 * k, uses_source=False, seed=1),
        MadeUp("strong", groups, lambda k: 0.4 + 0.5 * k, uses_source=False, seed=2),
        MadeUp("warm:known", groups, lambda k: 1.6, uses_source=True, seed=3),
    ]
    twins = np.array([0, 7, 8, 20])
    sitting = sit(split, task, target.users.ids, arms, twins=twins)
    return Served(Pool([sitting]), source, target)

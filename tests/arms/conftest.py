"""A task in miniature with weights of all sizes, and one on the default synthetic catalogs."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from coldstart.anchors import find_anchors
from coldstart.arms.base import People, Task
from coldstart.datasets import make_cross_domain
from coldstart.heldout import HeldOut, hold_out
from coldstart.interactions import Interactions


@dataclass(frozen=True)
class World:
    """A task, and the people it is tested on."""

    task: Task
    test: People

    def scores(self, arm, shots, block=None):
        """Scores of the tested people, all of them unless a block of them is asked for."""
        history = self.test.held.history(shots)
        return arm.scorer(self.test.source, history, shots)(block or slice(0, len(self.test)))


def weighted(log, rng):
    """The same interactions with weights between 1/2 and 3: no two sums of them are equal."""
    matrix = log.user_items
    data = rng.uniform(0.5, 3.0, matrix.nnz)
    matrix = csr_matrix((data, matrix.indices, matrix.indptr), matrix.shape)
    return Interactions.from_csr(matrix, users=log.users, items=log.items)


def held_part(held, start, stop):
    entries = slice(held.matrix.indptr[start], held.matrix.indptr[stop])
    part = slice(start, stop)
    return HeldOut(held.rows[part], held.matrix[part], held.rank[entries], held.dropped[part])


def make_world(source, target, *, n_test, n_validation, shots, factors, seed):
    rng = np.random.default_rng(seed)
    anchors = find_anchors(source.users, target.users)
    active = np.flatnonzero(np.diff(target.user_items.indptr)[anchors.target] >= 4)
    people = anchors.take(rng.permutation(active)[: n_test + n_validation])
    train, held = hold_out(target, people.target, order="random", rng=rng)
    test = People(people.source[:n_test], held_part(held, 0, n_test))
    validation = People(people.source[n_test:], held_part(held, n_test, len(people)))
    order = rng.permutation(len(train.items))
    task = Task(
        source,
        train,
        validation,
        shots=shots,
        metric="ndcg",
        n=6,
        factors=factors,
        seed=seed,
        order=order,
    )
    return World(task, test)


@pytest.fixture(scope="session")
def small():
    """45 anchors, and training rows that the source does not have; shots 0 and 2."""
    rng = np.random.default_rng(5)
    logs = make_cross_domain(
        90, 41, 32, source_interactions=8.0, target_interactions=7.0, factors=4, rng=rng
    )
    source, target = (weighted(log, rng) for log in logs)
    return make_world(source, target, n_test=12, n_validation=15, shots=(0, 2), factors=5, seed=5)


@pytest.fixture(scope="session")
def default():
    """The default synthetic catalogs; shots 0 and 3."""
    source, target = make_cross_domain()
    return make_world(
        source, target, n_test=250, n_validation=200, shots=(0, 3), factors=16, seed=1
    )

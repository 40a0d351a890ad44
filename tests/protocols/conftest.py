"""Two logs with times, and splits of them in plain sets."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from coldstart.interactions import Interactions

N_SOURCE, N_SOURCE_ITEMS = 90, 33
N_TARGET, N_TARGET_ITEMS = 110, 27
FIRST_IN_TARGET = 20  # people 20..89 are in both catalogs


def drawn(people, n_items, prefix, seed):
    """About a third of all pairs, with weights that are all different and times of which many are
    the same.
    """
    rng = np.random.default_rng(seed)
    there = rng.random((len(people), n_items)) < 0.35
    rows, columns = np.nonzero(there)
    weights = rng.permutation(len(rows)) + 1.0
    matrix = csr_matrix((weights, (rows, columns)), there.shape)
    users = [f"p{person:03}" for person in people]
    items = [f"{prefix}{item:02}" for item in range(n_items)]
    return Interactions.from_csr(matrix, users, items, rng.integers(0, 60, len(rows)))


def cells(log, values):
    """{(user, item): value} of a log."""
    coo = log.user_items.tocoo()
    pairs = zip(log.users.ids[coo.row], log.items.ids[coo.col], strict=True)
    return dict(zip(pairs, values.tolist(), strict=True))


@dataclass(frozen=True)
class World:
    """Two logs, and what splits of them say in ids."""

    source: Interactions
    target: Interactions

    def weights(self, log):
        return cells(log, log.user_items.data)

    def times(self, log):
        return cells(log, log.timestamps)

    def names(self, people):
        return self.target.users.ids[people.held.rows].tolist()

    def pairs(self, split, people, matrix):
        """The pairs of ids in a matrix (n_people, n_columns)."""
        rows, columns = matrix.nonzero()
        names = np.array(self.names(people), object)
        return set(zip(names[rows], split.train.items.ids[columns], strict=True))

    def history(self, split, people, shots=0):
        return self.pairs(split, people, people.held.history(shots))

    def truth(self, split, people, shots=0):
        return self.pairs(split, people, people.held.truth(shots))

    def orders(self, split, people):
        """{user: items in the order in which they come back}, what is known first."""
        held, items = people.held, split.train.items.ids
        orders = {}
        for row, name in enumerate(self.names(people)):
            part = slice(held.matrix.indptr[row], held.matrix.indptr[row + 1])
            orders[name] = items[held.matrix.indices[part][np.argsort(held.rank[part])]].tolist()
        return orders

    def described(self, split):
        """Everything about a split, in plain values."""
        told = {
            "train": self.weights(split.train),
            "source": self.weights(split.source),
            "timed": split.train.timestamps is not None,
            "numbers": (split.eligible, split.level, split.seed),
        }
        for name, people in (("test", split.test), ("validation", split.validation)):
            told[name] = self.orders(split, people)
            told[name, "known"] = self.history(split, people)
            told[name, "weights"] = sorted(people.held.matrix.data.tolist())
            told[name, "dropped"] = people.held.dropped.tolist()
            places = people.source
            ids = split.source.users.ids
            told[name, "source"] = [ids[place] if place >= 0 else None for place in places]
        if split.known is not None:
            rows, columns = split.known.truth.nonzero()
            ids = split.train.users.ids[rows], split.train.items.ids[columns]
            told["known"] = set(zip(*ids, strict=True))
            told["lists"] = set(split.train.items.ids[split.known.columns])
        if split.negatives is not None:
            told["negatives"] = split.train.items.ids[split.negatives].tolist()
        return told

    def permuted(self):
        """The same logs with their rows in another order."""
        return World(*(self._permuted(log) for log in (self.source, self.target)))

    def _permuted(self, log):
        rows = np.random.default_rng(2).permutation(len(log.users))
        places = csr_matrix(
            (np.arange(log.nnz) + 1, log.user_items.indices, log.user_items.indptr), log.shape
        )[rows]
        entries = places.data - 1
        matrix = csr_matrix((log.user_items.data[entries], places.indices, places.indptr))
        matrix.resize(log.shape)
        return Interactions.from_csr(
            matrix, log.users.ids[rows], log.items, log.timestamps[entries]
        )

    def numbered(self):
        """The same logs with numbers as ids of people."""
        return World(
            *(
                Interactions.from_csr(
                    log.user_items, [int(name[1:]) for name in log.users], log.items, log.timestamps
                )
                for log in (self.source, self.target)
            )
        )

    @property
    def common(self):
        return sorted(set(self.source.users) & set(self.target.users))


@pytest.fixture(scope="session")
def world():
    source = drawn(range(N_SOURCE), N_SOURCE_ITEMS, "s", 3)
    return World(
        source, drawn(range(FIRST_IN_TARGET, FIRST_IN_TARGET + N_TARGET), N_TARGET_ITEMS, "t", 4)
    )

"""The sampled protocol of CDRIB (Cao et al. 2022) and UniCDR (Cao et al. 2023), and full rankings
beside it.

A tenth of the people in both catalogs is cold in the one, the next tenth in the other. Each of a
cold person's target interactions falls to test with probability one half. One that does is ranked
among 999 items drawn uniformly, with replacement, from those that the training catalog has and the
person has not; MRR, NDCG@10 and HR@10 are over interactions. Such numbers are biased: how methods
compare on a thousand items need not be how they compare on all (Krichene and Rendle 2020), so the
same interactions are also ranked among every item that the person has not.

Two things differ from the published code. Equal scores are ranked at random: there, the wanted item
is the first of its candidates, and where a sort leaves equal scores as they are it wins every tie,
so that a constant is perfect. And the other half of the cold people's interactions, by which the
published code chooses the epoch, is left unused: nothing here is chosen by people who are tested.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from intervals import ratio_of_means
from numpy.typing import NDArray

from coldstart import PriorALS, WarmStart
from coldstart.adapters import RidgeAdapter
from coldstart.anchors import find_anchors
from coldstart.interactions import Interactions
from coldstart.popularity import counts

COLD = 0.1
NEGATIVES = 999
METRICS = ("mrr", "ndcg@10", "hr@10")
ROWS = ("constant", "popularity", "warm:ridge")
PEOPLE_AT_ONCE = 64

Integers = NDArray[np.int64]
Scorer = Callable[[slice], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class ColdPeople:
    """One direction.

    Parameters
    ----------
    source, train : Interactions
        Without what cold people of either side have lost.
    ids : array (n_people,)
        Cold people, as `source` knows them.
    wanted : csr_matrix (n_people, n_train_items)
        Their target interactions: 1 is to be ranked, 2 is only never a negative.
    unknown : int
        Interactions to be ranked, with items that `train` does not have: left out, as published.
    """

    source: Interactions
    train: Interactions
    ids: NDArray[Any]
    wanted: sp.csr_matrix
    unknown: int = 0


def split_pair(
    first: Interactions, second: Interactions, rng: np.random.Generator
) -> tuple[ColdPeople, ColdPeople]:
    """From `first` to `second`, and back."""
    anchors = find_anchors(first.users, second.users)
    tenth = int(COLD * len(anchors))
    drawn = rng.permutation(len(anchors))
    groups = np.sort(drawn[:tenth]), np.sort(drawn[tenth : 2 * tenth])
    rows = anchors.source[groups[0]], anchors.target[groups[1]]
    trains = _without(first, rows[0]), _without(second, rows[1])
    there = _cold(trains[0], trains[1], second, rows[1], rng)
    return there, _cold(trains[1], trains[0], first, rows[0], rng)


def _without(log: Interactions, rows: Integers) -> Interactions:
    keep = np.ones(len(log.users), bool)
    keep[rows] = False
    return log.keep_users(keep)


def _cold(
    source: Interactions,
    train: Interactions,
    target: Interactions,
    rows: Integers,
    rng: np.random.Generator,
) -> ColdPeople:
    held = target.user_items[rows]
    person = np.repeat(np.arange(len(rows)), np.diff(held.indptr))
    column = train.items.rows(target.items.ids[held.indices], missing="mask")
    test = rng.integers(2, size=len(person)) == 1
    return cold_people(source, train, target.users.ids[rows], person, column, test)


def cold_people(
    source: Interactions,
    train: Interactions,
    ids: NDArray[Any],
    person: Integers,
    column: Integers,
    test: NDArray[np.bool_],
) -> ColdPeople:
    """People whose interactions with columns (-1: unknown) are to be ranked where `test`."""
    known = column >= 0
    values = np.where(test, 1, 2)[known]
    shape = len(ids), len(train.items)
    wanted = sp.csr_matrix((values, (person[known], column[known])), shape=shape)
    return ColdPeople(source, train, ids, wanted, int((test & ~known).sum()))


def draw_negatives(
    wanted: sp.csr_matrix, person: Integers, size: int, rng: np.random.Generator
) -> Integers:
    """Columns (n_pairs, size) that the persons of the pairs (n_pairs,) do not have."""
    n_items = wanted.shape[1]
    rows = np.repeat(np.arange(wanted.shape[0]), np.diff(wanted.indptr))
    theirs = rows * n_items + wanted.indices
    drawn = rng.integers(n_items, size=(len(person), size))
    while True:
        again = np.isin(person[:, None] * n_items + drawn, theirs)
        if not again.any():
            return drawn
        drawn[again] = rng.integers(n_items, size=int(again.sum()))


def ranks(
    scores: Scorer, wanted: sp.csr_matrix, negatives: Integers | None, rng: np.random.Generator
) -> tuple[Integers, Integers]:
    """Whose each interaction is that is to be ranked, and its rank from 1 on, (n_pairs,) both:
    among `negatives` (n_pairs, k), or among all items that the person has not.
    """
    person, column = pairs(wanted)
    found = np.empty(len(person), np.int64)
    for begin in range(0, wanted.shape[0], PEOPLE_AT_ONCE):
        block = slice(begin, min(begin + PEOPLE_AT_ONCE, wanted.shape[0]))
        theirs = np.array(scores(block), np.float32)
        for pair in np.flatnonzero((person >= block.start) & (person < block.stop)):
            row = theirs[person[pair] - begin]
            others = (
                row[negatives[pair]] if negatives is not None else _rest(row, wanted, person[pair])
            )
            above, equal = (others > row[column[pair]]).sum(), (others == row[column[pair]]).sum()
            found[pair] = 1 + above + rng.integers(equal + 1)
    return person, found


def pairs(wanted: sp.csr_matrix) -> tuple[Integers, Integers]:
    """Person and column of the interactions that are to be ranked, (n_pairs,) both."""
    person = np.repeat(np.arange(wanted.shape[0]), np.diff(wanted.indptr))
    test = wanted.data == 1
    return person[test], wanted.indices[test].astype(np.int64)


def _rest(row: NDArray[np.float32], wanted: sp.csr_matrix, person: int) -> NDArray[np.float32]:
    return np.delete(row, wanted.indices[wanted.indptr[person] : wanted.indptr[person + 1]])


def gains(rank: Integers) -> NDArray[np.float64]:
    """Reciprocal rank, NDCG@10 and HR@10 of one wanted item each, (n_pairs, 3)."""
    listed = rank <= 10
    return np.stack([1 / rank, listed / np.log2(rank + 1), listed.astype(float)], axis=1)


def measured(person: Integers, rank: Integers) -> dict[str, list[float]]:
    """Means over interactions in percent with 95% intervals over people."""
    own = np.bincount(person)
    people = np.flatnonzero(own)
    found = {}
    for name, gain in zip(METRICS, 100 * gains(rank).T, strict=True):
        sums = np.bincount(person, gain)[people]
        found[name] = [round(value, 4) for value in ratio_of_means(sums, own[people], rng=0)]
    return found


def scorers(people: ColdPeople, *, factors: int, seed: int, num_threads: int) -> dict[str, Scorer]:
    """The rows of the table: the settings of the warm one are chosen in its own fit, on people of
    the training catalog.
    """
    popular = counts(people.train.user_items)
    model = PriorALS(factors, rng=seed, num_threads=num_threads)
    warm = WarmStart(model, RidgeAdapter(), gate=False, rng=seed, num_threads=num_threads)
    warm.fit(people.source, people.train)
    served, asked = warm.served_, warm.ids("users").rows(people.ids, missing="mask")
    nothing = sp.csr_matrix((len(people.ids), len(people.train.items)), dtype=np.float32)
    queries = served.queries(served.mapped, asked, nothing, num_threads)
    columns = served.catalog(served.other)
    return {
        "constant": lambda block: np.zeros((block.stop - block.start, len(popular)), np.float32),
        "popularity": lambda block: np.tile(popular, (block.stop - block.start, 1)),
        "warm:ridge": lambda block: queries[block] @ columns.T,
    }


def run(people: ColdPeople, *, factors: int, seed: int, num_threads: int = 0) -> dict[str, Any]:
    """All rows, sampled and in full."""
    rng = np.random.default_rng([seed, 1])
    negatives = draw_negatives(people.wanted, pairs(people.wanted)[0], NEGATIVES, rng)
    rows = {}
    for name, scores in scorers(
        people, factors=factors, seed=seed, num_threads=num_threads
    ).items():
        rows[name] = {
            "sampled": measured(*ranks(scores, people.wanted, negatives, rng)),
            "full": measured(*ranks(scores, people.wanted, None, rng)),
        }
    return {
        "seed": seed,
        "people": len(np.unique(pairs(people.wanted)[0])),
        "interactions": len(negatives),
        "left out": people.unknown,
        "items": len(people.train.items),
        "rows": rows,
    }

"""New rows beside known ones: against lists that are sorted one by one."""

import numpy as np
import pytest

from coldstart.datasets import make_cross_domain
from coldstart.evaluation import evaluate
from coldstart.protocols import Mixed

N, SHOTS = 5, (0, 2)


class Kept:
    """Every row scores what it is told, and more what it has."""

    name, uses_source = "kept", True

    def fit(self, task):
        self.task = task
        self.told = np.random.default_rng(3).random((len(task.source.users) + 1, 400))
        return self

    def scorer(self, source, history, shots):
        width = history.shape[1]
        rows = self.told[source][:, :width] + history.toarray()  # what is seen scores high
        return lambda block: rows[block].astype(np.float32)

    def settings(self):
        return {}


@pytest.fixture(scope="module")
def logs():
    both = make_cross_domain(140, 60, 50, source_interactions=14, target_interactions=9, rng=4)
    return both.source.T, both.target.T


@pytest.fixture(scope="module")
def found(logs):
    arm = Kept()
    results = evaluate(
        *logs, side="items", protocol="mixed", arms=[arm, "popularity"], n=N, shots=SHOTS
    )
    split = Mixed().split(logs[0].T, logs[1].T, side="items", seed=0)
    return results, arm, split


def by_hand(arm, split, shots, *, new):
    """Recalls and shares of every list, with the new rows among the candidates or without."""
    known, test = split.known, split.test
    history = test.held.history(shots)
    scores = [arm.scorer(known.source, split.train.user_items, SHOTS[-1])(slice(None))]
    seen, truth = [split.train.user_items.toarray() > 0], [known.truth.toarray() > 0]
    if new:
        scores.append(arm.scorer(test.source, history, shots)(slice(None)))
        seen.append(history.toarray() > 0)
        truth.append(test.held.truth(shots).toarray() > 0)
    n_known = len(split.train.users)
    scores, seen, truth = (np.vstack(part)[:, known.columns] for part in (scores, seen, truth))
    lists = np.argsort(-np.where(seen, -np.inf, scores), axis=0, kind="stable")[:N]
    hit = np.take_along_axis(truth, lists, axis=0)
    fresh = lists >= n_known
    with np.errstate(invalid="ignore"):
        return {
            "recall_new": (hit & fresh).sum(axis=0) / truth[n_known:].sum(axis=0),
            "recall_known": (hit & ~fresh).sum(axis=0) / truth[:n_known].sum(axis=0),
            "new_share": fresh.mean(axis=0),
            "truth_share": truth[n_known:].sum(axis=0) / truth.sum(axis=0),
        }


@pytest.mark.parametrize("shots", SHOTS)
def test_recalls_and_shares_are_those_of_lists_sorted_one_by_one(found, shots):
    results, arm, split = found
    (row,) = (row for row in results.mixed["rows"] if (row["arm"], row["shots"]) == ("kept", shots))
    expected = by_hand(arm, split, shots, new=True)
    for name, values in expected.items():
        assert row[name] == pytest.approx(np.nanmean(values), abs=1e-12)
        assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
    alone = by_hand(arm, split, shots, new=False)["recall_known"]
    loss = np.nanmean(alone - expected["recall_known"])
    assert loss > 0
    assert row["loss_known"] == pytest.approx(loss, abs=1e-12)
    wanted = ~np.isnan(expected["truth_share"])
    shares = [expected[name][wanted].mean() for name in ("new_share", "truth_share")]
    assert row["calibration"] == pytest.approx(shares[0] / shares[1], abs=1e-12)
    assert row["users"] == len(split.known.columns)


def test_popularity_knows_no_new_row_and_takes_known_ones_by_their_histories(found):
    results, _, split = found
    rows = [row for row in results.mixed["rows"] if row["arm"] == "popularity"]
    assert rows[0]["new_share"] == rows[0]["recall_new"] == rows[0]["loss_known"] == 0
    sizes = np.diff(split.train.user_items.indptr)
    seen = split.train.user_items.toarray()[:, split.known.columns] > 0
    best = np.argsort(-np.where(seen, -1, sizes[:, None]), axis=0)[:N]
    truth = split.known.truth.toarray()[:, split.known.columns] > 0
    recall = np.take_along_axis(truth, best, axis=0).sum(axis=0) / np.maximum(truth.sum(axis=0), 1)
    assert rows[0]["recall_known"] == pytest.approx(recall[truth.any(axis=0)].mean(), abs=0.05)


def test_other_protocols_mix_nothing(logs):
    swapped = [log.T for log in logs]
    assert evaluate(*swapped, arms=["popularity"], shots=(0,)).mixed is None

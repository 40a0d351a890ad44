"""A sitting: who is served what, on which truth, and who cannot serve."""

import numpy as np
import pytest

from coldstart.datasets import make_cross_domain
from coldstart.errors import AlignmentError
from coldstart.protocols import Cold, Sampled, task_of
from coldstart.sitting import FIXED, LEFT, TWINLESS, available, sit

SETTINGS = {"metric": "ndcg", "n": 5, "factors": 4, "num_threads": 1, "side": "users", "seed": 1}


class Fixed:
    """One list for everybody; it keeps what it was asked."""

    uses_source = True

    def __init__(self, name="fixed", error=None):
        self.name, self.error, self.asked = name, error, []

    def fit(self, _):
        if self.error is not None:
            raise self.error
        return self

    def scorer(self, source, history, shots):
        self.asked.append((shots, len(source), int(np.diff(history.indptr).max(initial=0))))
        row = -np.arange(history.shape[1], dtype=np.float32)
        return lambda block: np.tile(row, (block.stop - block.start, 1))

    def settings(self):
        return {}


class Without(Fixed):
    uses_source = False


@pytest.fixture(scope="module")
def logs():
    sizes = {"source_interactions": 9.0, "target_interactions": 9.0}
    return make_cross_domain(150, 40, 36, **sizes, factors=4, rng=5)


def sat(logs, arms, *, protocol=None, shots=(0, 2), twins=()):
    source, target = logs
    split = (protocol or Cold()).split(source, target, side="users", seed=1)
    task = task_of(split, source, shots=shots, **SETTINGS)
    return sit(split, task, target.users.ids, arms, twins=np.array(twins, np.int64))


def test_every_arm_serves_every_truth_at_every_number_of_shots(logs):
    sitting = sat(logs, [Fixed("a"), Without("b")])
    expected = {(k, truth) for k in (0, 2) for truth in (LEFT, FIXED)}
    assert [one.lists.keys() for one in sitting.served] == [expected] * 2
    held = sitting.split.test.held
    assert sitting.ids.tolist() == logs.target.users.ids[held.rows].tolist()
    for one in sitting.served:
        assert min(one.seconds.values()) >= 0


def test_lists_are_those_of_the_scores_without_what_came_back(logs):
    sitting = sat(logs, [Fixed()])
    held = sitting.split.test.held
    for (shots, truth), ranked in sitting.served[0].lists.items():
        most = shots if truth == LEFT else 2
        seen, right = held.history(most).toarray() > 0, held.truth(most).toarray() > 0
        for row, columns in enumerate(ranked.columns):
            free = np.flatnonzero(~seen[row])
            assert columns.tolist() == free[:5].tolist()
            assert ranked.hits[row].tolist() == right[row, columns].tolist()
            assert ranked.relevant[row] == right[row].sum()


def test_the_fixed_truth_is_one_for_every_number_of_shots(logs):
    sitting = sat(logs, [Fixed()])
    lists = sitting.served[0].lists
    assert np.array_equal(lists[0, FIXED].relevant, lists[2, FIXED].relevant)
    assert lists[2, FIXED] is lists[2, LEFT]
    sizes = np.diff(sitting.fixed_truth().indptr)
    assert np.array_equal(lists[0, FIXED].relevant, sizes)


def test_arms_know_the_shots_and_not_the_largest_number_of_them(logs):
    arm = Fixed()
    sitting = sat(logs, [arm])
    n_test, n_validation = len(sitting.split.test), len(sitting.split.validation)
    assert arm.asked == [(0, n_test, 0), (2, n_test, 2), (0, n_validation, 0)]


def test_arms_without_a_source_are_measured_on_validation_people_at_every_number_of_shots(logs):
    arm = Without()
    (served,) = sat(logs, [arm]).served
    assert served.validation.keys() == {0, 2}
    (other,) = sat(logs, [Fixed()]).served
    assert other.validation == {0: served.validation[0]}


def test_without_twins_they_are_neither_listed_nor_right(logs):
    twins = [0, 2, 3, 11]
    sitting = sat(logs, [Fixed()], twins=twins)
    lists = sitting.served[0].lists
    truth = sitting.fixed_truth().toarray() > 0
    truth[:, twins] = False
    for shots in (0, 2):
        ranked = lists[shots, TWINLESS]
        assert not np.isin(ranked.columns, twins).any()
        assert np.array_equal(ranked.relevant, truth.sum(axis=1))
        assert np.isin(lists[shots, FIXED].columns, twins).any()


@pytest.mark.parametrize("shots", [(0,), (0, 3), (0, 30)])
def test_sampled_positives_are_found_by_nobody_who_has_them_back(logs, shots):
    sitting = sat(logs, [Fixed()], protocol=Sampled(negatives=4), shots=shots, twins=[1])
    held, lists = sitting.split.test.held, sitting.served[0].lists
    assert lists.keys() == {(k, truth) for k in shots for truth in (LEFT, FIXED)}
    sizes = np.diff(held.matrix.indptr)
    for k in shots:
        assert np.array_equal(lists[k, LEFT].relevant, sizes > k)
        assert np.array_equal(lists[k, FIXED].relevant, sizes > shots[-1])
    assert sitting.fixed_truth().nnz == (sizes > shots[-1]).sum()
    assert sizes.min() < 30
    last, columns = held.last(), lists[0, LEFT].columns
    for row in range(len(held)):
        candidates = {*sitting.split.negatives[row], *last[row].indices}
        assert set(columns[row]) == candidates


def test_who_cannot_align_the_catalogs_says_why_and_is_left_out(logs):
    arms = [Fixed("a", AlignmentError("too far apart")), Without("b")]
    sitting = sat(logs, arms)
    assert [one.arm.name for one in sitting.served] == ["b"]
    assert sitting.unavailable == {"a": "too far apart"}


def test_other_errors_are_not_swallowed(logs):
    with pytest.raises(ValueError, match="a mistake"):
        sat(logs, [Fixed("a", ValueError("a mistake"))])


def test_available_is_who_served_in_every_sitting(logs):
    refused = AlignmentError("not today")
    first = sat(logs, [Fixed("a"), Fixed("b"), Fixed("c")])
    second = sat(logs, [Fixed("a"), Fixed("b", refused), Fixed("c")])
    assert available([first, second]) == (["a", "c"], {"b": "not today"})
    assert available([first]) == (["a", "b", "c"], {})
    nobody = sat(logs, [Fixed("a", refused), Fixed("b", refused)])
    with pytest.raises(AlignmentError, match=r"no arm is available \(a: not today; b: not today\)"):
        available([nobody])

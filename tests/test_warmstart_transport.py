"""A warm start whose adapter needs no anchors: all rows of both catalogs are aligned.

The target is the source's own log under other names, trained from another seed: its factors are
about those of the source, turned, and everybody's own row says where they belong.
"""

import numpy as np
import pytest

from coldstart.adapters import TransportAdapter
from coldstart.als import PriorALS
from coldstart.anchors import Anchors
from coldstart.arms.warm import WarmArm
from coldstart.errors import AlignmentError
from coldstart.evaluation import evaluate
from coldstart.interactions import Interactions
from coldstart.transfer import Space, fit_adapter
from coldstart.warmstart import WarmStart

pytest.importorskip("ot", reason="needs the library POT")

GROUPS, N_ITEMS = (150, 100, 70, 50, 30), 60
N_USERS, SHARED = sum(GROUPS), 60
QUICK = {"representatives": 40, "starts": 10, "permutations": 9, "level": 0.1}


def make_model(seed):
    return PriorALS(4, iterations=8, rng=seed, num_threads=1)


def renamed(log, kept=0):
    """The same log with other users, but for the first ones, and other items."""
    users = [user if row < kept else f"other {user}" for row, user in enumerate(log.users)]
    items = [f"other {item}" for item in log.items]
    return Interactions.from_csr(log.user_items, users, items)


def make_warm(**settings):
    return WarmStart(
        make_model(1),
        TransportAdapter(**QUICK),
        source_model=make_model(0),
        rng=0,
        num_threads=1,
        **settings,
    )


def drawn(groups, spread, rng):
    """Twelve items a person, by the taste of the person's group, whose logits `spread` so far."""
    group = rng.permutation(np.repeat(np.arange(len(groups)), groups))
    taste = spread * rng.standard_normal((len(groups), N_ITEMS))[group]
    taken = np.argsort(-taste - rng.gumbel(size=taste.shape), axis=1)[:, :12]
    matrix = np.zeros(taste.shape, np.float32)
    np.put_along_axis(matrix, taken, 1, axis=1)
    users, items = (
        [f"{kind}{n}" for n in range(many)] for kind, many in zip("us", taste.shape, strict=True)
    )
    return Interactions.from_csr(matrix, users, items)


@pytest.fixture(scope="module")
def log():
    """Groups that differ in size and taste: a shape like no other."""
    return drawn(GROUPS, 2.0, np.random.default_rng(3))


@pytest.fixture(scope="module")
def unrelated(log):
    """Catalogs whose shapes agree no better than by chance: the other has none."""
    return log, drawn([N_USERS], 0.0, np.random.default_rng(103))


@pytest.fixture(scope="module")
def strangers(log):
    """Fitted on catalogs without a name in common."""
    return make_warm(gate=False).fit(log, renamed(log))


@pytest.fixture(scope="module")
def some_shared(log):
    return make_warm().fit(log, renamed(log, SHARED))


def cosines(warm, log, first=0):
    """How well the mean of each source row points to where the same person is in the target."""
    side = warm.served_.mapped
    said = side.belief.prior.mean[side.ids.rows(list(log.users))][first:]
    true = warm.model_.fold_in(log.user_items)
    said, true = said - true.mean(axis=0), true[first:] - true.mean(axis=0)
    return np.sum(said * true, axis=1) / np.linalg.norm(said, axis=1) / np.linalg.norm(true, axis=1)


class Remembers:
    """An adapter that keeps what it is given."""

    def __init__(self, *, unpaired):
        self.unpaired = unpaired

    def fit(self, source, target, *, weight=None, context=None):
        self.seen = source, target, context
        return self

    def predict(self, source, *, context=None):
        pytest.fail("nobody asks what is aligned for a prediction")


class TestWhatIsAligned:
    def spaces(self, log):
        """Half of the source, and a target in which ten rows are empty."""
        rows = np.arange(3 * len(log.users), dtype=np.float32).reshape(-1, 3)
        matrix = log.user_items.copy()
        matrix.data[: matrix.indptr[10]] = 0
        matrix.eliminate_zeros()
        half = log.keep_users(np.arange(N_USERS) % 2 == 0)
        source = Space(half.users, rows[: N_USERS // 2], half.user_items)
        return source, Space(log.users, rows, matrix)

    def test_all_active_rows_of_both_sides_whoever_is_an_anchor(self, log):
        source, target = self.spaces(log)
        for anchors in (Anchors(np.arange(3), np.arange(3)), Anchors(*np.empty((2, 0), int))):
            fitted = fit_adapter(Remembers(unpaired=True), source, target, anchors)
            ours, theirs, context = fitted.seen
            assert np.array_equal(ours, source.rows)
            assert np.array_equal(theirs, target.rows[10:])
            assert context.source_rows is None
            assert context.target_rows is None
            assert np.array_equal(context.mean, target.moments[0])

    def test_other_adapters_see_the_anchors_alone(self, log):
        source, target = self.spaces(log)
        anchors = Anchors(np.array([4, 7]), np.array([20, 30]))
        ours, theirs, context = fit_adapter(Remembers(unpaired=False), source, target, anchors).seen
        assert np.array_equal(ours, source.rows[[4, 7]])
        assert np.array_equal(theirs, target.rows[[20, 30]])
        assert context.target_rows.shape == (2, target.matrix.shape[1])


class TestWithoutSharedIds:
    def test_everybody_is_mapped_to_where_they_are_in_the_target(self, strangers, log):
        assert strangers.report_.anchors == 0
        assert strangers.report_.moved == N_USERS
        found = cosines(strangers, log)
        assert np.median(found) > 0.95
        assert np.quantile(found, 0.1) > 0.8

    def test_lists_are_those_of_the_same_people_in_the_target(self, strangers, log):
        """At least half of the ten best items of a namesake without a history, by its own row."""
        alone = make_model(1).fit(log.user_items, show_progress=False)
        scores = alone.fold_in(log.user_items) @ alone.item_factors.T
        best = renamed(log).items.ids[np.argsort(-scores, axis=1)[:, :10]]
        ids, _ = strangers.recommend(list(log.users), 10)
        shared = [len(set(a) & set(b)) for a, b in zip(ids, best, strict=True)]
        assert np.mean(shared) > 5

    def test_without_anybody_to_hold_out_the_gate_stays_closed(self, log):
        report = make_warm().fit(log, renamed(log)).report_
        assert report.gate is None
        assert "the gate is closed" in report.warnings[0]

    def test_a_saved_one_answers_the_same(self, strangers, log, tmp_path):
        strangers.save(tmp_path)
        loaded = WarmStart.load(tmp_path)
        ids, scores = strangers.recommend(list(log.users)[:9], 5)
        again = loaded.recommend(list(log.users)[:9], 5)
        assert np.array_equal(again[0], ids)
        assert np.array_equal(again[1], scores)

    def test_items_can_be_aligned_as_well(self, log):
        swapped = make_warm(side="items", gate=False).fit(log.T, renamed(log).T)
        assert np.median(cosines(swapped_view(swapped), log)) > 0.95


def swapped_view(warm):
    """The warm start of items seen as one of users."""
    warm.model_ = warm.model_.swapped()
    return warm


class TestWithSomeSharedIds:
    def test_they_prove_what_the_others_gain(self, some_shared, log):
        """The alignment is that of all rows, and those with a name in common are held out."""
        report = some_shared.report_
        assert report.anchors == SHARED
        assert report.gate.open[0]
        assert report.gate.chosen == "TransportAdapter"
        assert np.median(cosines(some_shared, log, SHARED)) > 0.95

    def test_many_more_pairs_are_found_than_have_a_name_in_common(self, some_shared):
        assert some_shared.adapter_.report_.pairs > 3 * SHARED


class TestRefusals:
    @pytest.mark.parametrize("kept", [0, SHARED])
    def test_catalogs_that_do_not_align_are_refused_with_the_report_of_chance(
        self, unrelated, kept
    ):
        source, target = unrelated
        message = r"do not align better than by chance: .* at most in 9 trials, p = 0\.\d+"
        with pytest.raises(AlignmentError, match=message):
            make_warm(gate=False).fit(source, renamed(target, kept))

    def test_an_evaluation_goes_on_without_the_arm_and_says_why(self, unrelated, monkeypatch):
        monkeypatch.setattr("coldstart.arms.warm.named", lambda name: TransportAdapter(**QUICK))
        arms = ["popularity", WarmArm("transport")]
        found = evaluate(*unrelated, shots=(0,), arms=arms, factors=4, num_threads=1)
        assert found.config["arms"] == ["popularity"]
        assert "by chance" in found.config["unavailable"]["warm:transport"]
        assert "warm:transport is not available: source and target" in str(found)

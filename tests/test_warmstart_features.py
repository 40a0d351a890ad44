"""Features at the front door: ids that no catalog knows are served by what features say of them.

The worlds of the side "items" are those of the side "users" with users and items swapped, so that
one set of tests asks both. Rows are float32: they agree with those put together by hand to 1e-4.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp

from coldstart.adapters import (
    AnchorContext,
    AutoAdapter,
    ContentAdapter,
    FusedAdapter,
    MeanAdapter,
    RidgeAdapter,
)
from coldstart.als import PriorALS
from coldstart.anchors import Anchors
from coldstart.errors import DataError, UnknownIdError
from coldstart.factors import Factors
from coldstart.features import Features
from coldstart.interactions import Interactions
from coldstart.strength import Strength
from coldstart.transfer import Space, fit_adapter, map_rows, predict
from coldstart.trials import Bench
from coldstart.tuning import _eligible
from coldstart.vocabulary import Vocabulary
from coldstart.warmstart import WarmStart

SIDES = ["users", "items"]
D, P = 4, 7
STRENGTH = Strength((0, 1, 4), (0.75, 1.0, 1.25), (1.0, 3.0, 2.0), 1.5)
# how many ids there are by where they are known
GROUPS = {"all": 110, "source": 40, "features": 50, "untold": 60, "described": 70}
KNOWN = {
    "source": {"all", "source", "untold"},
    "target": {"all", "untold", "described"},
    "features": {"all", "features", "described"},
}


def make_model(**settings):
    given = {"regularization": 2.0, "alpha": 5.0, "iterations": 4, "rng": 0, "num_threads": 1}
    return PriorALS(**{"factors": D, **given, **settings})


def log_of(tastes, columns, per_row, names, prefix, rng):
    """Every row takes the columns it likes best, of a random half."""
    scores = tastes @ rng.normal(size=(tastes.shape[1], columns))
    scores += 0.5 * rng.normal(size=scores.shape) + 1e3 * (rng.random(scores.shape) < 0.5)
    chosen = np.argsort(-scores, axis=1)[:, :per_row]
    matrix = np.zeros(scores.shape, np.float32)
    np.put_along_axis(matrix, chosen, 1, axis=1)
    return Interactions.from_csr(matrix, names, [f"{prefix}{i}" for i in range(columns)])


@dataclass(frozen=True)
class World:
    """Two logs and features from the view of the side that is mapped, and the target log that
    everybody would have.
    """

    source: Interactions
    target: Interactions
    features: Features
    truth: Interactions
    side: str

    def fit(self, warm, features=None, source=None):
        source = self.source if source is None else source
        logs = (source, self.target) if self.side == "users" else (source.T, self.target.T)
        return warm.fit(*logs, features=self.features if features is None else features)

    def ask(self, warm, ids, n=10, **how):
        """Answers for ids of the mapped side."""
        return (warm.recommend if self.side == "users" else warm.audience)(ids, n, **how)

    def ask_other(self, warm, ids, n=10, **how):
        """Answers for ids of the other side."""
        return (warm.audience if self.side == "users" else warm.recommend)(ids, n, **how)

    def group(self, name):
        """Ids of the mapped side by where they are known."""
        return [f"{name}{i}" for i in range(GROUPS[name])]

    def hits(self, warm, ids):
        """How many of the first ten (len,) each would have taken."""
        rows = self.truth.user_items[self.truth.users.rows(ids)].toarray()
        columns = self.truth.items.rows(self.ask(warm, ids)[0].ravel()).reshape(len(ids), -1)
        return np.take_along_axis(rows, columns, axis=1).sum(axis=1)


def make_world(side="users", form=np.asarray):
    rng = np.random.default_rng(5)
    names = [f"{group}{i}" for group, size in GROUPS.items() for i in range(size)]
    group = np.repeat(list(GROUPS), list(GROUPS.values()))
    tastes = rng.normal(size=(len(names), 3))
    told = form(tastes @ rng.normal(size=(3, P)) + 0.3 * rng.normal(size=(len(names), P)))
    names = np.array(names, object)
    logs = {
        "source": log_of(tastes, 47, 8, names, "s", rng),
        "target": log_of(tastes, 38, 7, names, "t", rng),
    }
    parts = {
        key: Interactions.from_csr(
            log.user_items[np.isin(group, [*KNOWN[key]])],
            names[np.isin(group, [*KNOWN[key]])],
            log.items,
        )
        for key, log in logs.items()
    }
    described = np.flatnonzero(np.isin(group, [*KNOWN["features"]]))[::-1]  # in another order
    features = Features.from_arrays(names[described], told[described])
    return World(parts["source"], parts["target"], features, logs["target"], side)


@pytest.fixture(scope="module", params=SIDES)
def world(request):
    return make_world(request.param)


def make_warm(side, adapter=None, **settings):
    settings = {"strength": STRENGTH, "gate": False, "rng": 0, **settings}
    return WarmStart(make_model(), adapter or ContentAdapter(1.0), side=side, **settings)


@pytest.fixture(scope="module")
def warm(world):
    return world.fit(make_warm(world.side))


def told_and_rows(world, ids):
    """Features (n, P) and source rows (n, D) of any ids, zeros where there are none."""
    own = make_model().fit(world.source.user_items, show_progress=False)
    rows = np.vstack([own.fold_in(world.source.user_items), np.zeros((1, D), np.float32)])
    told, _ = world.features.rows(ids, missing="mask")
    return told, rows[world.source.users.rows(ids, missing="mask")]


class TestServing:
    @pytest.mark.parametrize("name", ["features", "source"])
    def test_ids_without_a_target_row_are_where_the_adapter_puts_them(self, world, warm, name):
        """The adapter fitted once more by hand, on all target rows that it can learn from."""
        model = make_model().fit(world.target.user_items, show_progress=False)
        target = model.fold_in(world.target.user_items)
        ids = world.target.users.ids
        told, rows = told_and_rows(world, ids)
        taught = ContentAdapter(1.0).fit(
            rows,
            target,
            context=AnchorContext(
                features=told,
                other_factors=model.item_factors,
                mean=target.mean(axis=0, dtype=np.float64),
                covariance=np.cov(target.T.astype(np.float64), bias=True),
            ),
        )
        told, rows = told_and_rows(world, world.group(name))
        prior = taught.predict(rows, context=AnchorContext(features=told)).centre(0.75)
        expected = -np.sort(-(prior.mean @ model.item_factors.T), axis=1)[:, :10]
        _, scores = world.ask(warm, world.group(name))
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)

    def test_ids_known_by_features_alone_find_what_they_would_have_taken(self, world, warm):
        """Paired: more than the same model with features of somebody else, by 4 standard errors."""
        ids = world.group("features")
        order = np.random.default_rng(0).permutation(len(world.features))
        shuffled = Features.from_arrays(world.features.ids, world.features.matrix[order])
        others = world.fit(make_warm(world.side), shuffled)
        gain = world.hits(warm, ids) - world.hits(others, ids)
        assert gain.mean() > 4 * gain.std() / np.sqrt(len(gain))
        assert len({tuple(row) for row in world.ask(warm, ids)[0].tolist()}) > len(ids) / 2

    def test_they_are_found_from_the_other_side(self, world, warm):
        found, _ = world.ask_other(warm, world.target.items.ids, 30)
        assert set(world.group("features")) & set(found.ravel())

    def test_they_can_be_asked_for_with_a_history(self, world, warm):
        one, *_ = world.group("features")
        first, _ = world.ask(warm, [one])
        then, _ = world.ask(warm, [one], history={one: [first[0, 0]]})
        assert first[0, 0] not in then

    def test_ids_of_no_catalog_and_without_features_stay_unknown(self, world, warm):
        with pytest.raises(UnknownIdError, match="unknown ids 'nobody'"):
            world.ask(warm, ["nobody"])

    def test_features_of_zeros_make_nobody_known(self, world):
        matrix = np.vstack([world.features.matrix, np.zeros((1, P))])
        features = Features.from_arrays([*world.features.ids, "nobody"], matrix)
        assert "nobody" not in world.fit(make_warm(world.side), features).ids(world.side)

    def test_both_sides_are_one_code(self):
        answers = []
        for side in SIDES:
            world = make_world(side)
            answers.append(world.ask(world.fit(make_warm(side)), world.group("features")))
        for one, other in zip(*answers, strict=True):
            assert np.array_equal(one, other)

    def test_sparse_features_say_what_dense_ones_do(self, world, warm):
        sparse = Features.from_arrays(world.features.ids, sp.csr_matrix(world.features.matrix))
        other = world.fit(make_warm(world.side), sparse)
        ids = world.group("features") + world.group("described")
        ours, theirs = world.ask(warm, ids)[1], world.ask(other, ids)[1]
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)

    def test_ready_factors_and_a_catalog_with_nobody_in_common_will_do(self, world):
        log = world.source
        strangers = [f"x{i}" for i in range(len(log.users))]
        rows = np.random.default_rng(1).normal(size=(len(log.users), 3))
        factors = Factors.from_arrays(rows, np.ones((len(log.items), 3)), strangers, log.items)
        warm = world.fit(make_warm(world.side), source=factors)
        assert world.hits(warm, world.group("features")).mean() > 3
        with pytest.raises(UnknownIdError, match="'x0', 'x1'"):
            world.ask(warm, strangers[:2])
        (warning,) = warm.report_.warnings
        assert f"have no {world.side} in common" in warning
        assert (warm.report_.anchors, warm.report_.moved) == (0, 0)

    def test_a_saved_model_answers_the_same(self, world, warm, tmp_path):
        warm.save(tmp_path / "model")
        loaded = WarmStart.load(tmp_path / "model")
        for name in GROUPS:
            ids = world.group(name)
            for one, other in zip(world.ask(warm, ids), world.ask(loaded, ids), strict=True):
                assert np.array_equal(one, other)
        assert loaded.report_ == warm.report_

    def test_the_report_counts_them_apart(self, world, warm):
        report = warm.report_
        assert (report.source_rows, report.moved) == (210, 210)
        assert report.anchors == GROUPS["all"] + GROUPS["untold"]
        told = "What 7 features say was learned from 180 rows of the target; 120 rows were moved"
        assert told in str(report)
        assert world.fit(make_warm(world.side)).report_ == report


class TestChoosing:
    def test_held_out_people_open_the_gate_to_features(self, world):
        adapter = AutoAdapter(models=False, shots=(0,), budget=None)
        warm = world.fit(make_warm(world.side, adapter, strength="auto", gate=True))
        assert warm.report_.gate.open[0]
        assert isinstance(warm.adapter_, ContentAdapter)
        assert world.hits(warm, world.group("features")).mean() > 3

    def test_the_soft_gate_weighs_them_too(self, world, tmp_path):
        warm = world.fit(make_warm(world.side, strength="auto", gate="soft"))
        assert world.hits(warm, world.group("features")).mean() > 3
        warm.save(tmp_path / "model")
        ids = world.group("features")
        loaded = world.ask(WarmStart.load(tmp_path / "model"), ids)
        assert np.array_equal(world.ask(warm, ids)[1], loaded[1])

    def test_with_nobody_in_common_only_adapters_that_read_features_are_tried(self, world):
        log = world.source
        strangers = Interactions.from_csr(
            log.user_items, [f"x{i}" for i in range(len(log.users))], log.items
        )
        adapter = AutoAdapter(models=False, shots=(0,), budget=None)
        warm = make_warm(world.side, adapter, strength="auto", gate=True)
        world.fit(warm, source=strangers)
        assert isinstance(warm.adapter_, ContentAdapter)
        assert warm.report_.gate.open[0]

    def test_with_too_few_to_hold_out_the_first_choice_reads_features(self, world):
        warm = world.fit(make_warm(world.side, AutoAdapter()))
        assert isinstance(warm.adapter_, ContentAdapter)

    def test_other_adapters_leave_ids_known_by_features_alone_to_the_arm_without_a_source(self):
        """A choice between adapters may fall on one that reads no features."""
        world = make_world()
        noise = np.random.default_rng(0).normal(size=world.features.matrix.shape)
        features = Features.from_arrays(world.features.ids, noise)
        adapter = AutoAdapter(
            [RidgeAdapter(1.0, normalize=False), ContentAdapter(1.0, embeddings=False)],
            models=False,
            shots=(0,),
            budget=None,
        )
        warm = world.fit(make_warm("users", adapter, strength="auto"), features)
        assert isinstance(warm.adapter_, RidgeAdapter)
        assert warm.report_.features.alone == 0
        found, _ = world.ask(warm, world.group("features"))
        assert len({tuple(row) for row in found.tolist()}) == 1


@pytest.fixture
def spaces():
    """A source of 6 rows, the same with features of two of them and of two others, and a target."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6, 3)).astype(np.float32)
    matrix = sp.csr_matrix((rng.random((6, 5)) < 0.6) * np.float32(1))
    plain = Space(Vocabulary(list("abcdef")), rows, matrix)
    features = Features.from_arrays(
        list("zbxya"), np.array([[1, 2], [3, 4], [0, 0], [5, 6], [7, 8]])
    )
    return plain, plain.described(features)


class TestSpace:
    def test_rows_that_only_features_know_follow_and_are_empty(self, spaces):
        plain, described = spaces
        assert list(described.ids) == list("abcdefzy")  # x has none
        assert np.array_equal(described.rows, np.vstack([plain.rows, np.zeros((2, 3))]))
        assert (described.matrix[:6] != plain.matrix).nnz == 0
        assert described.matrix[6:].nnz == 0
        expected = [[7, 8], [3, 4], [0, 0], [0, 0], [0, 0], [0, 0], [1, 2], [5, 6]]
        assert np.array_equal(described.features, expected)

    def test_moments_are_those_of_the_source_alone(self, spaces):
        for one, other in zip(*(space.moments for space in spaces), strict=True):
            assert np.array_equal(one, other)

    def test_adapters_that_read_no_features_see_what_they_saw_without(self, spaces):
        plain, described = spaces
        rows = np.array([6, 0, 7, 5])
        for adapter in (RidgeAdapter(), MeanAdapter(), FusedAdapter([RidgeAdapter()])):
            assert described.readable(adapter, rows).tolist() == [False, True, False, True]
        target = Space(plain.ids, plain.rows[::-1] * 2)
        anchors = Anchors(rows, np.arange(4))
        one = fit_adapter(RidgeAdapter(0.5), described, target, anchors)
        other = fit_adapter(RidgeAdapter(0.5), plain, target, anchors.take(rows < 6))
        ours, theirs = predict(one, described, rows), predict(other, plain, rows[rows < 6])
        assert np.array_equal(ours.mean[[1, 3]], theirs.mean)
        assert np.array_equal(ours.precision[[1, 3]], theirs.precision)
        np.testing.assert_allclose(ours.mean[[0, 2]], [one.intercept_] * 2, rtol=1e-6)
        assert (predict(one, described, rows[[0, 2]]).mean == ours.mean[[0, 2]]).all()
        both = FusedAdapter([ContentAdapter(), RidgeAdapter()])
        assert not described.readable(both, rows)[0]
        assert described.readable(ContentAdapter(), rows).all()
        assert plain.readable(RidgeAdapter(), rows[[1, 3]]).all()

    def test_a_row_map_learns_from_interactions_and_speaks_of_rows_that_have_some(self, spaces):
        plain, described = spaces
        target = sp.csr_matrix(np.random.default_rng(1).random((4, 6)) < 0.5, dtype=np.float32)
        rows = np.array([6, 0, 7, 5])
        some = rows < 6
        anchors = Anchors(rows, np.arange(4))
        said, columns = map_rows(described, target, anchors, rows)
        alone, same = map_rows(plain, target[some], anchors.take(some), rows[some])
        assert np.array_equal(columns, same)
        assert np.array_equal(said[some], alone)
        assert not said[~some].any()
        nothing, none = map_rows(described, target[:2], Anchors(rows[~some], rows[:2]), rows)
        assert (nothing.shape, none.shape) == ((4, 0), (6, 0))

    def test_means_are_of_adapters_that_speak_of_the_same_rows(self, spaces):
        plain, described = spaces
        adapters = [RidgeAdapter(), MeanAdapter(), ContentAdapter(), ContentAdapter(1.0)]
        pairs = [(0, 1), (0, 2), (2, 3)]
        for space, expected in ((plain, [True, True, True]), (described, [True, False, True])):
            bench = Bench([], adapters, [lambda space=space: space])
            assert [bench.fusible(*pair) for pair in pairs] == expected

    def test_rows_that_only_features_know_are_held_out_without_a_source_history(self):
        """Of 60 ids 30 have one interaction in the source, which is too little, and 30 none."""
        ids = [f"u{i}" for i in range(60)]
        target = Interactions.from_csr(np.ones((60, 6)), ids, list("abcdef"))
        rows = np.ones((30, 2), np.float32)
        plain = Space(Vocabulary(ids[:30]), rows, sp.csr_matrix(np.eye(30, 40, dtype=np.float32)))
        described = plain.described(Features.from_arrays(ids, np.ones((60, 2))))
        anchors = Anchors(np.arange(60), np.arange(60))
        assert _eligible(described, target, anchors).tolist() == list(range(30, 60))


class TestErrors:
    @pytest.mark.parametrize(
        ("features", "message"),
        [
            (np.ones((3, 2)), "features must be Features, got ndarray: make them by Features.from"),
            ({"all0": [1.0]}, "features must be Features, got dict"),
        ],
    )
    def test_features_are_features(self, world, features, message):
        with pytest.raises(TypeError, match=message):
            world.fit(make_warm(world.side), features)

    def test_ids_are_of_the_kind_of_the_catalogs(self, world):
        features = Features.from_arrays(range(30), np.ones((30, 2)))
        one = world.side.removesuffix("s")
        message = f"{one} ids are integers .for example 0. in the features but strings .for example"
        with pytest.raises(DataError, match=message):
            world.fit(make_warm(world.side), features)

    def test_features_of_the_other_side_teach_nothing(self, world):
        features = Features.from_arrays(world.target.items, np.ones((38, 2)))
        message = (
            rf"of 38 ids with features \(for example 't0'\) 0 are {world.side} with interactions"
            rf".*pass features of {world.side}, under the same ids"
        )
        with pytest.raises(DataError, match=message):
            world.fit(make_warm(world.side), features)

    def test_ids_that_are_in_the_target_without_features_teach_nothing(self, world):
        matrix = np.zeros((len(world.target.users), 2))
        matrix[0] = 1
        features = Features.from_arrays(world.target.users, matrix)
        with pytest.raises(DataError, match=f"1 are {world.side} with interactions"):
            world.fit(make_warm(world.side), features)

    def test_rows_that_do_not_match_ids(self):
        with pytest.raises(DataError, match="features has 3 rows but 2 ids"):
            Features.from_arrays(["all0", "all1"], np.ones((3, 2)))

    @pytest.mark.parametrize(
        "adapter", [RidgeAdapter(), FusedAdapter([RidgeAdapter(), ContentAdapter()])]
    )
    def test_an_adapter_that_reads_no_features(self, world, adapter):
        message = f"{type(adapter).__name__} reads no features: pass ContentAdapter()"
        with pytest.raises(ValueError, match=message):
            world.fit(make_warm(world.side, adapter))

    def test_a_refinement_reads_none_yet(self, world):
        with pytest.raises(ValueError, match="refine=2 reads no features yet: use refine=0"):
            world.fit(make_warm(world.side, AutoAdapter(), strength=1.0, refine=2))

"""From two catalogs to priors, with nothing of held-out people in anything that is fitted."""

import numpy as np
import pytest
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.cpu.lmf import LogisticMatrixFactorization

from coldstart import transfer
from coldstart.adapters import IdentityAdapter, MeanAdapter, RidgeAdapter
from coldstart.als import PriorALS
from coldstart.anchors import Anchors, find_anchors
from coldstart.datasets import make_cross_domain
from coldstart.errors import AnchorError, SpaceError
from coldstart.factors import Factors
from coldstart.features import Features
from coldstart.prior import Prior
from coldstart.targets.prior_als import PriorALSTarget
from coldstart.threads import one_blas_thread

D = 5


class Recorder:
    """An adapter that keeps what it was told."""

    def fit(self, source, target, *, weight=None, context=None):
        self.source, self.target, self.context = source, target, context
        return self

    def predict(self, source, *, context=None):
        self.asked = source, context
        return Prior(np.zeros((len(source), self.target.shape[1])))


@pytest.fixture(scope="module")
def world():
    return make_cross_domain(
        130, 45, 38, source_interactions=9, target_interactions=7, factors=4, rng=3
    )


@pytest.fixture(scope="module")
def model():
    return PriorALS(factors=D, regularization=2.0, alpha=5.0, iterations=4, rng=0, num_threads=1)


@pytest.fixture(scope="module")
def source(world):
    settings = PriorALS(factors=7, iterations=4, rng=1, num_threads=1)
    return transfer.source_space(world.source, settings, show_progress=False)


@pytest.fixture(scope="module")
def target(world, model):
    trained = PriorALSTarget(model, "users").fit(world.target.user_items)
    return transfer.target_space(trained, world.target)


@pytest.fixture(scope="module")
def anchors(world):
    return find_anchors(world.source.users, world.target.users)


def assert_same_bits(ours, theirs):
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs)


class TestSpace:
    def test_moments_are_over_rows_with_interactions(self):
        rows = np.arange(12, dtype=np.float32).reshape(4, 3) ** 2
        matrix = sp.csr_matrix(np.array([[1, 0], [0, 0], [1, 1], [0, 1.0]]))
        space = transfer.Space(find_ids(4), rows, matrix)
        assert space.active.tolist() == [True, False, True, True]
        assert space.counts.tolist() == [1, 0, 2, 1]
        mean, covariance = space.moments
        np.testing.assert_allclose(mean, rows[[0, 2, 3]].mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(covariance, np.cov(rows[[0, 2, 3]].T, bias=True), rtol=1e-6)

    def test_without_interactions_rows_that_are_not_zero_are_active(self):
        space = transfer.Space(find_ids(3), np.array([[0, 1], [0, 0], [2, 0]], np.float32))
        assert space.active.tolist() == [True, False, True]
        assert space.counts is None

    def test_where_nobody_is_active_the_moments_are_those_of_a_unit_sphere(self):
        mean, covariance = transfer.Space(find_ids(3), np.zeros((3, 2), np.float32)).moments
        assert mean.tolist() == [0, 0]
        assert covariance.tolist() == [[1, 0], [0, 1]]

    def test_target_rows_are_exact_solutions(self, world, target):
        """One dense solve in float64; the rows are float32, which agree to 1e-4."""
        row, other = 3, target.other.astype(np.float64)
        liked = world.target.user_items[row]
        y = other[liked.indices]
        a = other.T @ other + 2.0 * np.eye(D) + (y.T * (5.0 * liked.data - 1)) @ y
        expected = np.linalg.solve(a, y.T @ (5.0 * liked.data))
        np.testing.assert_allclose(target.rows[row], expected, rtol=1e-4, atol=1e-6)


def find_ids(n):
    return Factors.from_arrays(np.ones((n, 1)), np.ones((1, 1))).users


class TestSource:
    def test_rows_of_our_own_model_are_exact_too(self, world, source):
        model = PriorALS(factors=7, iterations=4, rng=1, num_threads=1)
        model.fit(world.source.user_items, show_progress=False)
        assert_same_bits(source.rows, model.fold_in(world.source.user_items))
        assert source.ids == world.source.users

    def test_factors_from_elsewhere_are_taken_as_they_are(self):
        factors = Factors.from_arrays(np.eye(4, 3), np.ones((6, 3)), users=list("dcba"))
        space = transfer.source_space(factors, None, show_progress=False)
        assert_same_bits(space.rows, factors.user_factors)
        assert (space.matrix, list(space.ids)) == (None, list("dcba"))

    @pytest.mark.parametrize(
        "kind",
        [AlternatingLeastSquares, BayesianPersonalizedRanking, LogisticMatrixFactorization],
    )
    def test_models_of_implicit_are_trained_as_a_copy(self, world, kind):
        settings = {"factors": 6, "iterations": 2, "num_threads": 1, "random_state": 4}
        with one_blas_thread():  # implicit warns of anything else
            model, twin = kind(**settings), kind(**settings)
            space = transfer.source_space(world.source, model, show_progress=False)
            twin.fit(world.source.user_items.copy(), show_progress=False)
        assert model.user_factors is None
        assert_same_bits(space.rows, transfer.spanning(np.asarray(twin.user_factors, np.float32)))
        assert_same_bits(space.other, twin.item_factors)


class TestAdapters:
    def test_settings_left_open_are_candidates(self):
        assert len(transfer.candidates(RidgeAdapter())) > 1
        decided = RidgeAdapter(0.5, normalize=True)
        [option] = transfer.candidates(decided)
        assert option.get_params() == decided.get_params()

    def test_an_adapter_with_nothing_open_is_its_only_candidate_as_a_copy(self):
        adapter = MeanAdapter()
        [option] = transfer.candidates(adapter)
        assert type(option) is MeanAdapter
        assert option is not adapter

    def test_an_adapter_is_fitted_on_the_anchors_as_a_copy(self, source, target, anchors):
        adapter = Recorder()
        fitted = transfer.fit_adapter(adapter, source, target, anchors)
        assert not vars(adapter)
        assert_same_bits(fitted.source, source.rows[anchors.source])
        assert_same_bits(fitted.target, target.rows[anchors.target])

    def test_it_is_told_what_else_is_known_of_them(self, world, source, target, anchors):
        context = transfer.fit_adapter(Recorder(), source, target, anchors).context
        for rows, log, where in (
            (context.source_rows, world.source, anchors.source),
            (context.target_rows, world.target, anchors.target),
        ):
            assert_same_bits(rows.toarray(), log.user_items[where].toarray())
        assert context.alpha == 5.0
        assert_same_bits(context.other_factors, target.other)

    def test_it_is_told_the_moments_of_all_rows_and_not_of_anchors(self, source, target, anchors):
        context = transfer.fit_adapter(Recorder(), source, target, anchors.take(slice(6))).context
        assert_same_bits(context.mean, target.moments[0])
        assert_same_bits(context.covariance, target.moments[1])
        assert_same_bits(context.source_covariance, source.moments[1])

    def test_it_is_asked_with_the_source_rows_of_those_asked_for(self, world, source, target):
        fitted = transfer.fit_adapter(Recorder(), source, target, Anchors(*np.ones((2, 3), int)))
        rows = np.array([7, 2])
        transfer.predict(fitted, source, rows)
        asked, context = fitted.asked
        assert_same_bits(asked, source.rows[rows])
        assert_same_bits(context.source_rows.toarray(), world.source.user_items[rows].toarray())

    def test_factors_alone_are_enough(self, target):
        factors = Factors.from_arrays(np.ones((9, 3)), np.ones((4, 3)))
        source = transfer.source_space(factors, None, show_progress=False)
        fitted = transfer.fit_adapter(Recorder(), source, target, Anchors(*np.ones((2, 3), int)))
        transfer.predict(fitted, source, np.array([0]))
        assert fitted.context.source_rows is None
        assert fitted.asked[1].source_rows is None

    def test_anchors_known_by_features_alone_are_an_error_where_the_adapter_reads_rows(self):
        ids, rows = find_ids(30), np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
        known = Features.from_arrays([3, 500], np.ones((2, 1)))
        source = transfer.Space(ids, 0 * rows).described(known)
        target = transfer.Space(ids, rows)
        message = "source rows of all 30 anchors are zeros"
        with pytest.raises(AnchorError, match=message):
            transfer.fit_adapter(RidgeAdapter(), source, target, find_anchors(ids, ids))


class TestSpanning:
    """Source rows of a model with too many factors: some columns are combinations of others."""

    @pytest.fixture
    def rows(self):
        rng = np.random.default_rng(0)
        return (rng.normal(size=(40, 4)) * [3, 1, 0.5, 0.1] + 2.0).astype(np.float32)

    def test_rows_that_span_their_columns_are_left_as_they_are(self, rows):
        assert transfer.spanning(rows) is rows

    @pytest.mark.parametrize("what", ["combination", "constant", "zero"])
    def test_others_are_taken_along_the_directions_in_which_they_vary(self, rows, what):
        """A rotation: distances between rows stay, to the precision of float32."""
        extra = {
            "combination": rows[:, [0]] - 2 * rows[:, [2]],
            "constant": np.full((40, 1), 1.5, np.float32),
            "zero": np.zeros((40, 1), np.float32),
        }[what]
        wide = np.hstack([rows, extra])
        along = transfer.spanning(wide)
        assert (along.shape, along.dtype) == ((40, 4), np.float32)
        between = [np.linalg.norm(r[:, None] - r[None], axis=2) for r in (along, wide)]
        np.testing.assert_allclose(*between, atol=1e-4)

    def test_rows_that_are_all_alike_or_nobody_are_left(self):
        for rows in (np.ones((5, 3), np.float32), np.zeros((0, 3), np.float32)):
            assert transfer.spanning(rows) is rows

    def test_an_adapter_can_learn_from_ready_factors_that_are_collinear(self, target, anchors):
        rows = np.random.default_rng(1).normal(size=(130, 3))
        collinear = np.hstack([rows, rows[:, :1] + rows[:, 1:2]])
        source = transfer.source_space(
            Factors.from_arrays(collinear, np.ones((4, 4))), None, show_progress=False
        )
        fitted = transfer.fit_adapter(RidgeAdapter(1.0), source, target, anchors)
        assert np.isfinite(transfer.predict(fitted, source, np.arange(130)).mean).all()


class TestOneSpace:
    """An adapter that takes both catalogs for one space is given rows as they came."""

    @pytest.fixture
    def rows(self):
        """The last column is 0: all others vary."""
        rows = np.random.default_rng(1).normal(size=(130, D)).astype(np.float32)
        rows[:, -1] = 0
        return rows

    def space(self, rows):
        factors = Factors.from_arrays(rows, np.ones((4, rows.shape[1])))
        return transfer.source_space(factors, None, show_progress=False)

    def test_its_means_are_the_rows_bit_for_bit(self, rows, target, anchors):
        source = self.space(rows)
        assert source.rows.shape == (130, D - 1)
        fitted = transfer.fit_adapter(IdentityAdapter(), source, target, anchors)
        said = transfer.predict(fitted, source, np.arange(130))
        assert_same_bits(said.mean, rows)

    def test_a_wider_source_is_refused_though_as_many_directions_vary(self, rows, target, anchors):
        wide = np.hstack([rows[:, :-1], np.ones((130, 1)), rows[:, :1]]).astype(np.float32)
        wide[:, -1] += np.random.default_rng(2).normal(size=130)
        source = self.space(wide)
        assert source.rows.shape == (130, D)
        with pytest.raises(SpaceError, match=f"source is {D + 1} wide but target is {D} wide"):
            transfer.fit_adapter(IdentityAdapter(), source, target, anchors)

    def test_rows_that_only_features_know_are_zeros_there_too(self, rows):
        source = self.space(rows)
        known = Features.from_arrays([3, 500], np.ones((2, 1)))
        given = source.described(known).seen_by(IdentityAdapter()).rows
        assert_same_bits(given, np.vstack([rows, np.zeros((1, D), np.float32)]))

    def test_others_see_the_directions_that_vary(self, rows):
        source = self.space(rows)
        assert source.seen_by(RidgeAdapter()) is source


class TestNullPriors:
    def test_they_stand_at_the_means_of_all_and_of_anchors_and_half_way_with_the_covariance_of_all(
        self, target
    ):
        some = np.array([3, 17, 29])
        prior = transfer.null_priors(target, some)
        rows = target.rows.astype(np.float64)
        every, theirs = rows.mean(axis=0), rows[some].mean(axis=0)
        means = np.stack([every, theirs, (every + theirs) / 2])
        np.testing.assert_allclose(prior.mean, means, rtol=1e-12)
        n, covariance = len(rows), np.cov(rows.T, bias=True)
        proper = (n * covariance + np.trace(covariance) / D * np.eye(D)) / (n + 1)
        np.testing.assert_allclose(np.linalg.inv(prior.matrices()[0]), proper, rtol=1e-8)
        assert (prior.matrices() == prior.matrices()[0]).all()

    def test_without_anchors_all_are_the_mean_of_all(self, target):
        means = transfer.null_priors(target, np.zeros(0, int)).mean
        assert (means == means[0]).all()

    def test_of_nobody_they_are_a_unit_sphere(self):
        nobody = transfer.Space(find_ids(3), np.zeros((3, 2), np.float32))
        prior = transfer.null_priors(nobody, np.zeros(0, int))
        assert not prior.mean.any()
        np.testing.assert_allclose(prior.matrices()[0], np.eye(2), rtol=1e-12)

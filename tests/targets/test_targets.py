"""Every target model, with the real libraries, from both sides."""

import copy
import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.cpu.lmf import LogisticMatrixFactorization

from coldstart import PriorALS, WarmStart
from coldstart.adapters import RidgeAdapter
from coldstart.datasets import make_cross_domain
from coldstart.prior import Prior
from coldstart.targets import target_from, target_of
from coldstart.threads import one_blas_thread

with warnings.catch_warnings():  # the wheel may be built without OpenMP, and says so
    warnings.simplefilter("ignore")
    from lightfm import LightFM

SIDES = ("users", "items")
LOSSES = ("logistic", "bpr", "warp", "warp-kos")


def quiet(kind, **settings):
    with one_blas_thread():  # implicit warns of anything else
        return kind(**settings)


MODELS = {
    "PriorALS": lambda: PriorALS(6, num_threads=1, rng=3),
    "ALS": lambda: quiet(
        AlternatingLeastSquares, factors=6, num_threads=1, alpha=5.0, random_state=3
    ),
    "BPR": lambda: quiet(
        BayesianPersonalizedRanking,
        factors=6,
        num_threads=1,
        learning_rate=0.05,
        iterations=60,
        random_state=3,
    ),
    "LMF": lambda: quiet(
        LogisticMatrixFactorization, factors=6, num_threads=1, iterations=20, random_state=3
    ),
    **{loss: lambda loss=loss: LightFM(6, loss=loss, random_state=3) for loss in LOSSES},
}
SGD = [name for name in MODELS if "ALS" not in name]


@pytest.fixture(scope="module")
def log():
    log = sp.random(90, 70, 0.12, format="csr", random_state=0, dtype=np.float32)
    log.data[:] = 1
    log = log.tolil()
    log[4] = 0
    return log.tocsr()


@pytest.fixture(scope="module")
def world():
    return make_cross_domain(130, 45, 38, source_interactions=9, target_interactions=7, rng=3)


@pytest.fixture(scope="module", params=SIDES)
def side(request):
    return request.param


@pytest.fixture(scope="module")
def fits(log, side):
    """Targets and what they learned, one of each."""
    found = {}
    for name, make in MODELS.items():
        target = target_of(make(), side)
        found[name] = target, target.fit(log)
    return found


def scores(model, log, side):
    """All scores of a library's model, the mapped side as rows."""
    n_users, n_items = log.shape if side == "users" else log.shape[::-1]
    if isinstance(model, LightFM):
        users, items = np.repeat(np.arange(n_users), n_items), np.tile(np.arange(n_items), n_users)
        found = model.predict(users, items).reshape(n_users, n_items)
    else:
        found = model.user_factors @ model.item_factors.T
    return found if side == "users" else found.T


@pytest.mark.parametrize("name", MODELS)
def test_the_trained_model_scores_as_rows_and_columns_do(fits, log, side, name):
    target, trained = fits[name]
    width = trained.rows.shape[1]
    model = target.told(trained, Prior(np.zeros((1, width)), 0.0), 1.0)
    ours = trained.layout.rows(trained.rows) @ trained.layout.columns(trained.columns).T
    theirs = scores(model, log, side)
    if name == "BPR" and side == "items":  # it has no biases of users to hold their popularity
        ours = ours - trained.layout.shift
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    kind = PriorALS if "ALS" in name else type(MODELS[name]())
    assert type(model) is kind


@pytest.mark.parametrize("name", ["PriorALS", "BPR", "LMF"])
def test_serving_code_of_implicit_takes_it_as_it_is(log, name):
    target = target_of(MODELS[name](), "users")
    trained = target.fit(log)
    model = target.told(trained, Prior(np.zeros((1, trained.rows.shape[1])), 0.0), 1.0)
    ids, values = model.recommend(7, log[7], N=5)
    theirs = trained.layout.rows(trained.rows[[7]]) @ trained.layout.columns(trained.columns).T
    theirs[0, log[7].indices] = -np.inf
    assert ids.tolist() == np.argsort(-theirs[0], kind="stable")[:5].tolist()
    np.testing.assert_allclose(values, np.sort(theirs[0])[::-1][:5], atol=1e-5)


def test_bias_and_ones_columns_are_where_the_library_wants_them(fits):
    for name, ones in (("BPR", (-1, None)), ("LMF", (-2, -1))):
        target, trained = fits[name]
        model = target.told(trained, Prior(np.zeros((1, trained.rows.shape[1])), 0.0), 1.0)
        for factors, place in zip((model.user_factors, model.item_factors), ones, strict=True):
            assert factors.dtype == np.float32
            if place is not None:
                assert (factors[:, place] == 1).all()


@pytest.mark.parametrize("name", SGD)
def test_rows_in_the_loss_agree_with_those_that_the_library_learned(fits, log, name):
    """What is minimised is what the library descends, in expectation: solved around the mean of its
    rows, rows and columns correlate with its own.
    """
    trained = fits[name][1]
    for rows, loss, matrix in (
        (trained.rows, trained.loss, log),
        (trained.columns, trained.back, log.T.tocsr()),
    ):
        known = np.diff(matrix.indptr) > 0
        mean, spread = (
            rows[known].mean(axis=0),
            np.cov(rows[known].T) + 1e-3 * np.eye(rows.shape[1]),
        )
        prior = Prior(mean[None], shared=np.linalg.inv(spread))
        solved = loss.solve(matrix, prior=prior, regularization=0.0)
        assert np.corrcoef(solved[known].ravel(), rows[known].ravel())[0, 1] > 0.8


@pytest.mark.parametrize("name", MODELS)
def test_settings_survive_as_json(fits, side, name):
    target = fits[name][0]
    again = target_from(json.loads(json.dumps(target.to_json())), side)
    assert again.to_json() == target.to_json()
    assert type(again.model) is type(target.model)
    assert again.side == side


def test_a_name_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no target model 'SVD'"):
        target_from({"name": "SVD"}, "users")


@pytest.mark.parametrize("wrong", ["als", object(), PriorALS, RidgeAdapter()])
def test_other_objects_are_refused_in_one_line(wrong):
    with pytest.raises(TypeError, match=r"^model must be PriorALS, .* or LightFM: got [\w.]+$"):
        target_of(wrong, "users")


def test_variants_change_epochs_and_popularity_and_nothing_else():
    for name in SGD:
        target = target_of(MODELS[name](), "users")
        for other in target.variants():
            assert other.settings == target.settings
            assert (other.epochs, other.popularity) != (target.epochs, target.popularity)
            assert other.epochs >= 1


def test_a_seed_is_set_where_there_was_none_and_so_are_threads():
    bare = target_of(quiet(BayesianPersonalizedRanking, num_threads=2), "users")
    assert bare.seeded(5, 0).settings["random_state"] == 5
    assert bare.seeded(5, 1).settings["num_threads"] == 1
    given = target_of(MODELS["BPR"](), "users")
    assert given.seeded(5, 0).settings["random_state"] == 3
    hidden = target_of(MODELS["warp"](), "users")  # LightFM keeps no seed
    assert hidden.seeded(5, 0).settings["random_state"] is hidden.settings["random_state"]
    assert hidden.seeded(5, 0, given=True).settings["random_state"] == 5


class TestWarmStart:
    def state(self, model):
        return copy.deepcopy({k: v for k, v in vars(model).items() if k != "random_state"})

    @pytest.mark.parametrize("name", MODELS)
    def test_the_callers_object_stays_as_it_is_and_its_class_comes_back(
        self, world, side, name, tmp_path
    ):
        logs = world if side == "users" else (world.source.T, world.target.T)
        model = MODELS[name]()
        before = self.state(model)
        warm = WarmStart(
            model, RidgeAdapter(1.0, normalize=True), side=side, gate=False, strength=2.0, rng=0
        ).fit(*logs)
        after = self.state(model)
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[key], after[key]) for key in before)
        assert type(warm.model_) is (PriorALS if "ALS" in name else type(model))
        if name == "ALS":
            assert "PriorALS with the settings of implicit's ALS" in str(warm.report_)
            assert warm.model_.alpha == 5.0
        self.check_priors(warm)
        warm.save(tmp_path)
        loaded = WarmStart.load(tmp_path)
        ids = warm.ids("users")
        for one, two in zip(warm.recommend(ids), loaded.recommend(ids), strict=True):
            assert np.array_equal(one, two)
        assert type(loaded.model_) is type(warm.model_)

    def check_priors(self, warm):
        """Those of whom only the source knows stand at their prior, on the target's scale."""
        mapped = warm.served_.mapped
        empty = np.flatnonzero(np.diff(mapped.seen.indptr) == 0)
        assert len(empty)
        said = mapped.belief.pulled(empty, np.zeros(len(empty), int)).mean
        assert np.array_equal(mapped.factors[empty], said.astype(np.float32))

    def test_refinement_is_for_als(self, world):
        with pytest.raises(ValueError, match="needs ALS as the target model, got Bayesian"):
            WarmStart(MODELS["BPR"](), RidgeAdapter(), refine=2).fit(*world)

    def test_held_out_people_gate_a_model_of_another_library_too(self, world):
        adapter = RidgeAdapter(1.0, normalize=True)
        warm = WarmStart(MODELS["BPR"](), adapter, strength=1.0, rng=0).fit(*world)
        assert warm.report_.gate is not None
        assert "BPR, 60 epochs, 1 times log popularity added" in str(warm.report_)


def test_a_loaded_model_is_fitted_again_as_it_was_chosen(tmp_path):
    """LightFM's object tells neither its number of epochs nor what is added to biases."""
    source, target = make_cross_domain(
        60, 24, 20, source_interactions=6, target_interactions=4, factors=3, rng=0
    )
    warm = WarmStart(MODELS["warp"](), RidgeAdapter(1.0), strength=1.0, gate=False, rng=0)
    warm.fit(source, target)
    chosen = replace(warm._fitted.target, epochs=7, popularity=0.5)
    warm._keep(replace(warm._fitted, target=chosen))
    warm.save(tmp_path)
    again = WarmStart.load(tmp_path)
    again.adapter = RidgeAdapter(1.0)
    again.fit(source, target)
    assert (again._fitted.target.epochs, again._fitted.target.popularity) == (7, 0.5)
    again.model = MODELS["warp"]()
    assert again.fit(source, target)._fitted.target.epochs == 30

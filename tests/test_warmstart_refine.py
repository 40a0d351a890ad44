"""The front door with `refine`: what is chosen is what serves, whoever asks and on either side."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from coldstart import warmstart
from coldstart.adapters import (
    AutoAdapter,
    IdentityAdapter,
    KernelAdapter,
    MeanAdapter,
    RidgeAdapter,
)
from coldstart.als import PriorALS
from coldstart.anchors import Anchors
from coldstart.datasets import make_cross_domain
from coldstart.errors import AnchorError
from coldstart.factors import Factors
from coldstart.interactions import Interactions
from coldstart.metrics import hits, metric
from coldstart.popularity import counts
from coldstart.refine_choice import Recipe, RefineChoice, choose_refinement, fit_recipe
from coldstart.refine_serving import known_rows
from coldstart.rows import solve_rows
from coldstart.strength import Strength
from coldstart.transfer import source_space
from coldstart.transfer_report import TransferReport
from coldstart.warmstart import WarmStart

D = 5
MAPPED = Recipe(True, 4.0, 2.0, 3.0, 2)
NULLS = {
    "mean": Recipe(False, 4.0, 2.0, 0.5, 2),
    "plain": Recipe(False, 4.0, 3.0, 0.0, 0),
    "popularity": Recipe(False, 4.0, 2.0, 0.5, 1, popular=True),
}


def make_model():
    return PriorALS(D, regularization=2.0, alpha=5.0, iterations=4, rng=0, num_threads=1)


def make_warm(**settings):
    adapter = RidgeAdapter(0.3, normalize=False)
    return WarmStart(make_model(), adapter, **{"refine": 2, "rng": 0, **settings})


def make_choice(*, keep, null="mean"):
    return RefineChoice(
        refined=MAPPED,
        null=NULLS[null],
        model=replace(NULLS[null], popular=False),
        plain=NULLS["plain"],
        keep=keep,
        gain=0.01,
        low=0.005 if keep else -0.005,
        high=0.02,
        detectable=0.01,
        people=80,
        trials=9,
    )


@pytest.fixture(scope="module")
def logs():
    """People of both catalogs, of either, and two of both whom nobody was ever shown in one."""
    source, target = make_cross_domain(
        180, 45, 38, overlap=0.67, source_interactions=9, target_interactions=6, rng=3
    )
    both = np.flatnonzero(source.users.rows(target.users.ids, missing="mask") >= 0)
    idle = np.ones(len(target.users), np.float32)
    idle[both[:2]] = 0
    matrix = sp.csr_matrix(sp.diags(idle) @ target.user_items)
    matrix.eliminate_zeros()
    return source, Interactions.from_csr(matrix, target.users, target.items)


@pytest.fixture
def chosen(monkeypatch):
    """Let `fit` choose what the test says, without a search."""

    def choose(choice):
        monkeypatch.setattr(warmstart, "choose_refinement", lambda *args, **how: choice)
        return choice

    return choose


def by_hand(logs, warm, recipe):
    """The model of a recipe put together without the front door, and the known rows."""
    source, target = logs
    origin = source_space(source, make_model(), show_progress=False)
    place = target.users.rows(source.users.ids, missing="mask")
    live = (place >= 0) & (np.diff(source.user_items.indptr) > 0)
    live[live] = np.diff(target.user_items.indptr)[place[live]] > 0
    anchors = Anchors(np.flatnonzero(live), place[live])
    known = known_rows(origin, anchors)
    log = target.user_items
    fitted = fit_recipe(make_model(), log, known, warm.adapter, recipe)
    return fitted, recipe.told(known, len(target.users)), origin


def everybody(warm, **how):
    return warm.recommend(warm.ids("users").ids, 10, **how)


def same(one, two):
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


class TestAnOpenDecision:
    @pytest.fixture
    def warm(self, logs, chosen):
        chosen(make_choice(keep=True))
        return make_warm().fit(*logs)

    def test_serves_the_refined_model(self, logs, warm):
        refined, known, _ = by_hand(logs, warm, MAPPED)
        log = logs[1].user_items
        shown = np.diff(log.indptr) > 0
        model = warm.model_
        np.testing.assert_array_equal(model.item_factors, refined.items)
        # the belief centres its means by 1, which rounds once more; rows are float32
        rows = refined.rows(log, known)
        np.testing.assert_allclose(model.user_factors[shown], rows[shown], rtol=0, atol=1e-5)
        assert warm.strength_ == refined.strength
        assert (model.alpha, model.regularization) == (MAPPED.alpha, MAPPED.regularization)

    def test_puts_people_without_a_target_row_where_the_map_says(self, logs, warm):
        refined, _, origin = by_hand(logs, warm, MAPPED)
        said = refined.adapter.predict(origin.rows).mean
        counts_of = np.diff(logs[1].user_items.indptr)
        ids = warm.ids("users")
        new = ~np.isin(logs[0].users.ids, logs[1].users.ids[counts_of > 0])
        assert 20 < new.sum() < len(new)
        rows = warm.served_.mapped.factors[ids.rows(logs[0].users.ids[new])]
        np.testing.assert_allclose(rows, said[new], rtol=0, atol=1e-5)

    def test_folds_a_history_in_under_the_refined_prior(self, logs, warm):
        refined, _, origin = by_hand(logs, warm, MAPPED)
        ids, items = warm.ids("users"), logs[1].items
        new = int(np.flatnonzero(~np.isin(logs[0].users.ids, logs[1].users.ids))[0])
        key = logs[0].users.ids[new]
        history = sp.csr_matrix(([1.0, 1.0], ([0, 0], [3, 7])), (1, len(items)), np.float32)
        prior = refined.adapter.predict(origin.rows[[new]]).temper(MAPPED.temper)
        row = solve_rows(
            history, refined.items, alpha=MAPPED.alpha, regularization=2.0, prior=prior
        )
        scores = (row @ refined.items.T)[0]
        scores[[3, 7]] = -np.inf
        given = {key: items.ids[[3, 7]].tolist()}
        (found,), (values,) = warm.recommend([key], 10, history=given)
        # float32 rows by two ways of rounding the prior mean
        np.testing.assert_allclose(values, scores[items.rows(found)], rtol=0, atol=1e-5)
        np.testing.assert_allclose(values, np.sort(scores)[::-1][:10], rtol=0, atol=1e-5)
        assert len(ids) > len(logs[1].users)

    def test_stands_unknown_people_around_the_refined_mean_as_widely_as_all(self, logs, warm):
        refined, known, _ = by_hand(logs, warm, MAPPED)
        history = sp.csr_matrix(([1.0], ([0], [5])), (1, len(logs[1].items)), np.float32)
        said = known.prior(refined.adapter)
        average = said.pad(len(said) + 1, refined.mean).take([len(said)])
        prior = average.temper(MAPPED.temper / refined.width)
        row = solve_rows(
            history, refined.items, alpha=MAPPED.alpha, regularization=2.0, prior=prior
        )
        scores = np.delete((row @ refined.items.T)[0], 5)
        _, (values,) = warm.recommend(["nobody"], 10, history={"nobody": [logs[1].items.ids[5]]})
        np.testing.assert_allclose(values, np.sort(scores)[::-1][:10], rtol=0, atol=1e-5)

    def test_answers_the_same_after_loading(self, warm, tmp_path):
        warm.save(tmp_path / "model")
        loaded = WarmStart.load(tmp_path / "model")
        key, item = warm.ids("users").ids[0], warm.ids("items").ids[4]
        same(everybody(warm), everybody(loaded))
        same(everybody(warm, history={key: [item]}), everybody(loaded, history={key: [item]}))
        same(warm.audience([item]), loaded.audience([item]))
        assert (loaded.refine, loaded.strength, loaded.gate) == (2, MAPPED.temper, True)
        assert loaded.report_ == warm.report_

    def test_is_told_with_its_numbers(self, warm):
        (line,) = [x for x in str(warm.report_).splitlines() if x.startswith("Refinement")]
        assert line.startswith("Refinement keeps the refined model: mapped (alpha 4, ridge 2, ")
        assert "+1.00 (+0.50 .. +2.00) points of NDCG@10 on 80 people" in line
        read = TransferReport.from_json(json.loads(json.dumps(warm.report_.to_json())))
        assert read == warm.report_
        assert read.refined == make_choice(keep=True)
        assert read.warnings == ()


class TestAClosedDecision:
    @pytest.mark.parametrize("null", list(NULLS))
    def test_serves_the_arm_without_a_source_bit_for_bit(self, logs, chosen, null):
        chosen(make_choice(keep=False, null=null))
        warm = make_warm().fit(*logs)
        fitted, told, _ = by_hand(logs, warm, NULLS[null])
        log = logs[1].user_items
        model = warm.model_
        np.testing.assert_array_equal(model.item_factors, fitted.items)
        np.testing.assert_array_equal(model.user_factors, fitted.rows(log, told))
        scores = fitted.rows(log, told) @ fitted.items.T
        if null == "popularity":
            scores = np.broadcast_to(counts(log), log.shape)
        _, values = warm.recommend(logs[1].users.ids, 5)
        unseen = np.where(log.toarray() > 0, -np.inf, scores)
        # the same products, summed in another order
        best = np.sort(unseen, axis=1)[:, ::-1][:, :5]
        np.testing.assert_allclose(values, best, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("null", list(NULLS))
    def test_says_the_same_whatever_the_source_is(self, logs, chosen, null, tmp_path):
        chosen(make_choice(keep=False, null=null))
        noise = np.random.default_rng(8).normal(size=(len(logs[0].users), 3)).astype(np.float32)
        other = Factors.from_arrays(noise, noise[:4], users=logs[0].users, items=list("abcd"))
        one, two = make_warm().fit(*logs), make_warm().fit(other, logs[1])
        same(everybody(one), everybody(two))
        item = one.ids("items").ids[2]
        same(one.audience([item]), two.audience([item]))
        two.save(tmp_path / "model")
        loaded = WarmStart.load(tmp_path / "model")
        given = {one.ids("users").ids[3]: [item], "nobody": [item]}
        asked = [*one.ids("users").ids, "nobody"]
        same(*(warm.recommend(asked, history=given) for warm in (one, loaded)))
        assert isinstance(one.adapter_, RidgeAdapter)
        assert "Refinement drops the refined model" in str(loaded.report_)

    def test_settings_of_the_two_models_are_not_mixed(self, logs, chosen):
        """The ridge that serves is that of the null, and the temper that of the refined model."""
        chosen(make_choice(keep=False))
        _, adapter, serves, refinement, *_ = str(make_warm().fit(*logs).report_).splitlines()
        assert adapter.startswith("Adapter: RidgeAdapter(")
        assert adapter.endswith(").")
        assert serves == "None of this serves, because the refined model is dropped."
        assert refinement.startswith("Refinement drops the refined model: mean-prior (")

    def test_is_overruled_without_a_gate(self, logs, chosen):
        chosen(make_choice(keep=True))
        opened = make_warm().fit(*logs)
        chosen(make_choice(keep=False))
        forced = make_warm(gate=False).fit(*logs)
        same(everybody(opened), everybody(forced))
        assert "Warning: the refined model serves without proof: gate=False." in str(forced.report_)
        assert "Refinement would drop the refined model: " in str(forced.report_)
        assert "None of this serves" not in str(forced.report_)


def test_items_are_mapped_as_people_are(logs):
    one = make_warm(refine=1).fit(*logs)
    two = make_warm(refine=1, side="items").fit(*(log.T for log in logs))
    assert one.report_.refined == two.report_.refined
    ids = one.ids("users").ids
    same(one.recommend(ids), two.audience(ids))
    same(one.audience(one.ids("items").ids), two.recommend(two.ids("users").ids))


def test_on_a_sparse_target_it_is_no_worse_than_a_map_afterwards_or_a_mean_prior():
    source, target = make_cross_domain(
        400, 300, 200, affinity=3.0, source_interactions=30, target_interactions=8, rng=1
    )
    rng = np.random.default_rng(1)
    draws = rng.random(target.nnz)
    log = target.user_items
    train, truth = (only(log, part) for part in (draws < 0.3, draws > 0.7))
    sparse = Interactions.from_csr(train, target.users, target.items)
    people = np.flatnonzero(np.diff(truth.indptr))

    def quality(warm):
        ids, _ = warm.recommend(target.users.ids[people], 10)
        places = target.items.rows(ids.ravel()).reshape(ids.shape)
        return metric("ndcg")(hits(places, truth[people]), np.diff(truth[people].indptr))

    model = PriorALS(6, iterations=5, rng=0)
    settings = {"rng": 0, "gate": False}
    refined = WarmStart(model, refine=3, **settings).fit(source, sparse)
    after = WarmStart(model, RidgeAdapter(), **settings).fit(source, sparse)
    mean = WarmStart(model, MeanAdapter(), **settings).fit(source, sparse)
    ours = quality(refined)
    for other in (after, mean):
        gain = ours - quality(other)
        assert gain.mean() > -2 * gain.std() / np.sqrt(len(gain))
    assert gain.mean() > 2 * gain.std() / np.sqrt(len(gain))  # over the mean prior
    assert refined.report_.refined.keep


def only(log, entries):
    """A log without some of its entries."""
    indptr = np.concatenate([[0], np.cumsum(entries)])[log.indptr]
    return sp.csr_matrix((log.data[entries], log.indices[entries], indptr), log.shape)


def test_what_is_chosen_follows_from_known_rows_and_the_seed(logs):
    warm = make_warm(refine=1).fit(*logs)
    _, known, _ = by_hand(logs, warm, MAPPED)
    rng = np.random.default_rng(0)
    rng.integers(2**31, size=2)  # the seeds of both models
    choice = choose_refinement(
        make_model(), logs[1].user_items, known, warm.adapter, sweeps=1, rng=rng
    )
    assert warm.report_.refined == choice
    assert max(choice.refined.sweeps, choice.null.sweeps) <= 1


def test_a_number_is_the_only_strength_that_is_tried(logs):
    warm = make_warm(refine=1, strength=0.7, gate=False).fit(*logs)
    assert warm.strength_.temper == (0.7,)
    assert warm.report_.refined.refined.temper == 0.7
    assert warm.report_.refined.trials == 16  # eight pairs, after none and one sweep


@pytest.mark.parametrize("adapter", [None, AutoAdapter()])
def test_the_default_adapter_is_a_linear_map(logs, chosen, adapter):
    chosen(make_choice(keep=True))
    warm = WarmStart(make_model(), adapter, refine=2, rng=0).fit(*logs)
    assert isinstance(warm.adapter_, RidgeAdapter)
    assert warm.report_.adapter.startswith("RidgeAdapter")


def test_other_adapters_and_factors_from_elsewhere_are_refined_too(logs, chosen):
    chosen(make_choice(keep=True))
    own = make_model().fit(logs[0].user_items, show_progress=False)
    factors = Factors.from_arrays(
        own.fold_in(logs[0].user_items),
        own.item_factors,
        users=logs[0].users,
        items=logs[0].items,
    )
    there, elsewhere = make_warm().fit(*logs), make_warm().fit(factors, logs[1])
    # source rows of the two are the same, activity is not read by a linear map
    same(everybody(there), everybody(elsewhere))
    rows = KernelAdapter("linear", rows="interactions", ridge=6.0, landmarks=50)
    kernel = WarmStart(make_model(), rows, refine=2, rng=0)
    assert not np.array_equal(everybody(kernel.fit(*logs))[1], everybody(there)[1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"refine": -1}, "refine must be a whole number of sweeps from 0 on, got -1"),
        ({"refine": 1.5}, "refine must be a whole number of sweeps from 0 on, got 1.5"),
        ({"refine": True}, "refine must be a whole number of sweeps from 0 on, got True"),
        ({"refine": None}, "refine must be a whole number of sweeps from 0 on, got None"),
        ({"strength": 0}, 'with refine=2, strength must be "auto" or a number above 0'),
        ({"strength": Strength()}, 'with refine=2, strength must be "auto" or a number above 0'),
        ({"adapter": MeanAdapter()}, "needs an adapter that learns from anchors, and MeanAdapter"),
        ({"adapter": IdentityAdapter()}, "learns from anchors, and IdentityAdapter does not: pass"),
    ],
)
def test_what_cannot_be_refined_is_refused_before_anything_is_fitted(logs, settings, message):
    adapter = settings.pop("adapter", None)
    warm = WarmStart(make_model(), adapter, **{"refine": 2, "rng": 0, **settings})
    with pytest.raises(ValueError, match=message):
        warm.fit(*logs)


def test_too_little_to_refine_on_is_told(logs):
    strangers = Interactions.from_csr(
        logs[0].user_items, [f"x{key}" for key in logs[0].users], logs[0].items
    )
    with pytest.raises(AnchorError, match="no users in common"):
        make_warm().fit(strangers, logs[1])
    few = Interactions.from_csr(logs[1].user_items[:9], logs[1].users.ids[:9], logs[1].items)
    with pytest.raises(ValueError, match="use refine=0"):
        make_warm().fit(logs[0], few)

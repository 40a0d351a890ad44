"""The front door: who is served with what, for ids of either catalog, on either side.

The worlds of the side "items" are those of the side "users" with users and items swapped, so that
one set of tests asks both. Rows are float32: they agree with those put together by hand to 1e-4.
"""

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from implicit.cpu.bpr import BayesianPersonalizedRanking

from coldstart import search as grids
from coldstart.adapters import AutoAdapter, FusedAdapter, IdentityAdapter, MeanAdapter, RidgeAdapter
from coldstart.als import PriorALS
from coldstart.datasets import make_cross_domain, read_interactions
from coldstart.errors import AnchorError, DataError, UnknownIdError
from coldstart.factors import Factors
from coldstart.interactions import Interactions
from coldstart.prior import Prior
from coldstart.strength import Strength
from coldstart.warmstart import WarmStart

SHARED = Path(__file__).parents[2] / "shared" / "data" / "amazon" / "interactions.csv.gz"
SIDES = ["users", "items"]
D = 5
STRENGTH = Strength((0, 1, 4), (0.75, 1.0, 1.25), (1.0, 3.0, 2.0), 1.5)


def make_model(**settings):
    given = {"regularization": 2.0, "alpha": 5.0, "iterations": 4, "rng": 0, "num_threads": 1}
    return PriorALS(**{"factors": D, **given, **settings})


def make_warm(side="users", *, adapter=None, model=None, **settings):
    settings = {"strength": STRENGTH, "gate": False, "rng": 0, **settings}
    adapter = adapter or RidgeAdapter(0.3, normalize=False)
    return WarmStart(model or make_model(), adapter, side=side, **settings)


@dataclass(frozen=True)
class World:
    """Two logs and a warm start, from the view of the side that is mapped."""

    source: Interactions
    target: Interactions
    warm: WarmStart
    side: str

    def ask(self, ids, n=10, **how):
        """Answers for ids of the mapped side."""
        method = self.warm.recommend if self.side == "users" else self.warm.audience
        return method(ids, n, **how)

    def ask_other(self, ids, n=10, **how):
        """Answers for ids of the other side."""
        method = self.warm.audience if self.side == "users" else self.warm.recommend
        return method(ids, n, **how)

    def logs(self):
        """Both logs as `fit` takes them."""
        logs = self.source, self.target
        return logs if self.side == "users" else tuple(log.T for log in logs)

    def group(self, name):
        """Ids of the mapped side by where they are known."""
        source, target = set(self.source.users), set(self.target.users)
        return sorted(
            {
                "both": source & target,
                "source only": source - target,
                "target only": target - source,
                "neither": {"nobody", "noone"},
            }[name]
        )


@pytest.fixture(scope="module")
def logs():
    """120 people in both, 30 in either; some of the target's have a single interaction."""
    world = make_cross_domain(
        180, 45, 38, overlap=0.67, source_interactions=9, target_interactions=6, rng=3
    )
    return world.source, world.target


@pytest.fixture(scope="module", params=SIDES)
def world(request, logs):
    warm = make_warm(request.param)
    world = World(*logs, warm, request.param)
    warm.fit(*world.logs())
    return world


class ByHand:
    """The whole of a warm start once more, from models and the adapter alone."""

    def __init__(self, world):
        self.world = world
        source, target = world.source, world.target
        own = make_model().fit(source.user_items, show_progress=False)
        self.model = make_model().fit(target.user_items, show_progress=False)
        self.rows = self.model.fold_in(target.user_items).astype(np.float64)
        self.mean = self.rows.mean(axis=0)
        self.said = world.warm.adapter_.predict(own.fold_in(source.user_items))

    def prior(self, key, count):
        """What is believed of an id before `count` interactions, and the ridge around zero."""
        if key in self.world.source.users:
            prior = self.said.take(self.world.source.users.rows([key]))
            return STRENGTH.apply(prior, np.array([count])), STRENGTH.regularization
        n, covariance = len(self.rows), np.cov(self.rows.T, bias=True)
        proper = (n * covariance + np.trace(covariance) / D * np.eye(D)) / (n + 1)
        return Prior(self.mean[None], shared=np.linalg.inv(proper)), self.model.regularization

    def values(self, key, history=()):
        """Interactions (1, m) of an id with those of `history` added."""
        values = np.zeros((1, len(self.world.target.items)), np.float32)
        if key in self.world.target.users:
            row = self.world.target.users.rows([key])[0]
            values = self.world.target.user_items[row].toarray()
        columns = self.world.target.items.rows(list(history))
        values[0, columns] = np.maximum(values[0, columns], 1)
        return sp.csr_matrix(values)

    def scores(self, key, history=()):
        """Scores (m,) of an id for the other side, -inf where seen."""
        values = self.values(key, history)
        model = self.model.clone()
        model.item_factors = self.model.item_factors
        prior, model.user_regularization_ = self.prior(key, values.nnz)
        row = model.fold_in(values, prior=prior)[0]
        scores = model.item_factors @ row
        scores[values.indices] = -np.inf
        return scores

    def check(self, key, answer, history=()):
        """An answer (ids, scores) of one id is the ranking of these scores."""
        ids, scores = answer
        expected = self.scores(key, history)
        order = np.argsort(-expected, kind="stable")[: len(ids)]
        np.testing.assert_allclose(scores, expected[order], rtol=1e-4, atol=1e-5)
        listed = self.world.target.items.rows(ids)
        np.testing.assert_allclose(expected[listed], expected[order], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def by_hand(world):
    return ByHand(world)


class TestServing:
    @pytest.mark.parametrize("group", ["both", "source only", "target only"])
    def test_known_ids_are_served_by_their_prior_and_their_interactions(
        self, world, by_hand, group
    ):
        keys = world.group(group)
        ids, scores = world.ask(keys, 6)
        assert ids.shape == scores.shape == (len(keys), 6)
        for place, key in enumerate(keys):
            by_hand.check(key, (ids[place], scores[place]))

    @pytest.mark.parametrize("group", ["both", "source only", "target only", "neither"])
    def test_history_is_added_for_whoever_brings_some(self, world, by_hand, group):
        keys = world.group(group)[:12]
        rng = np.random.default_rng(0)
        told = {key: rng.choice(world.target.items.ids, 1 + j % 4) for j, key in enumerate(keys)}
        ids, scores = world.ask(keys, 6, history=told)
        for place, key in enumerate(keys):
            by_hand.check(key, (ids[place], scores[place]), told[key])

    def test_without_interactions_a_row_is_its_centred_prior_mean(self, world, by_hand):
        keys = world.group("source only")
        mapped = world.warm.served_.mapped
        rows = mapped.factors[mapped.ids.rows(keys)]
        prior = by_hand.said.take(world.source.users.rows(keys)).centre(STRENGTH.centre[0])
        np.testing.assert_allclose(rows, prior.mean, rtol=1e-6, atol=1e-6)

    def test_nothing_seen_is_recommended(self, world):
        keys = world.group("both")
        news = world.target.items.ids[:3]
        ids, _ = world.ask(keys, 38, history=dict.fromkeys(keys, news))
        for key, listed in zip(keys, ids, strict=True):
            row = world.target.user_items[world.target.users.rows([key])[0]]
            seen = {*world.target.items.ids[row.indices], *news}
            assert {each for each in listed if each is not None} == {*world.target.items} - seen

    def test_lists_longer_than_the_catalog_end_in_none_and_minus_infinity(self, world):
        ids, scores = world.ask(world.group("source only")[:2], 40)
        assert ids[:, 38:].tolist() == [[None, None]] * 2
        assert np.isneginf(scores[:, 38:]).all()
        assert np.isfinite(scores[:, :38]).all()

    def test_history_that_is_stored_already_changes_nothing(self, world):
        key = world.group("both")[0]
        row = world.target.users.rows([key])[0]
        stored = world.target.items.ids[world.target.user_items[row].indices]
        plain, told = world.ask([key]), world.ask([key], history={key: stored})
        assert np.array_equal(plain[0], told[0])
        np.testing.assert_allclose(told[1], plain[1], rtol=1e-4, atol=1e-5)

    def test_history_is_not_kept(self, world):
        keys = world.group("both")
        before = world.ask(keys)
        world.ask([*keys, "nobody"], history={"nobody": ["t1"], keys[0]: ["t1", "t2"]})
        after = world.ask(keys)
        assert np.array_equal(before[0], after[0])
        assert np.array_equal(before[1], after[1])
        with pytest.raises(UnknownIdError):
            world.ask(["nobody"])

    def test_strangers_are_an_error_or_get_what_is_popular(self, world):
        with pytest.raises(UnknownIdError, match="unknown ids 'nobody': take them out, or pass"):
            world.ask(["nobody"])
        ids, scores = world.ask(["nobody"], 5, missing="popular")
        counts = np.bincount(world.target.user_items.indices)
        assert scores[0].tolist() == sorted(counts, reverse=True)[:5]
        assert counts[world.target.items.rows(ids[0])].tolist() == scores[0].tolist()


class TestTheOtherSide:
    def test_ids_of_the_source_alone_take_part_in_everybodys_lists(self, world):
        ids, scores = world.ask_other(["t0", "t5"], 300)
        served = world.warm.served_
        for column, listed, values in zip((0, 5), ids, scores, strict=True):
            seen = world.target.user_items[:, [column]].nonzero()[0]
            everybody = {*world.source.users, *world.target.users}
            found = {each for each in listed if each is not None}
            assert found == everybody - {*world.target.users.ids[seen]}
            rows = served.mapped.ids.rows(listed[: len(found)])
            expected = served.mapped.factors[rows] @ served.other.factors[column]
            np.testing.assert_allclose(values[: len(found)], expected, rtol=1e-4, atol=1e-5)

    def test_an_unknown_id_with_history_is_served_and_without_an_error(self, world):
        with pytest.raises(UnknownIdError):
            world.ask_other(["t999"])
        known, alone = world.group("both")[0], world.group("source only")[0]
        ids, scores = world.ask_other(["t999"], 7, history={"t999": [known, alone]})
        assert np.isfinite(scores).all()
        assert not {known, alone} & set(ids[0])
        assert (np.diff(scores[0]) <= 0).all()

    def test_history_moves_it_toward_who_is_in_it(self, world):
        """The score of the people named rises, as the rows of a column answer to their mean."""
        named = world.group("both")[:6]
        mapped = world.warm.served_.mapped
        rows = mapped.factors[mapped.ids.rows(named)].astype(np.float64)
        plain = world.warm.served_.other.factors[5]
        history = sp.csr_matrix(
            (np.ones(6, np.float32), (np.zeros(6, int), mapped.ids.rows(named))),
            (1, len(mapped.ids)),
        )
        moved = world.warm.served_.other.embed(np.array([5]), history, 1)[0]
        assert (rows @ moved).mean() > (rows @ plain).mean()


class TestSides:
    def test_mapping_items_of_swapped_logs_is_mapping_users(self, logs):
        people = make_warm("users").fit(*logs)
        things = make_warm("items").fit(logs[0].T, logs[1].T)
        keys = sorted({*logs[0].users} - {*logs[1].users})
        for ours, theirs in (
            (people.recommend(keys), things.audience(keys)),
            (people.audience(["t1", "t4"]), things.recommend(["t1", "t4"])),
        ):
            assert np.array_equal(ours[0], theirs[0])
            assert np.array_equal(ours[1], theirs[1])

    def test_ids_that_can_be_asked_for_are_those_of_the_target_and_the_mapped_source(self, world):
        mapped, other = SIDES if world.side == "users" else SIDES[::-1]
        assert set(world.warm.ids(mapped)) == {*world.source.users, *world.target.users}
        assert world.warm.ids(other) == world.target.items
        with pytest.raises(ValueError, match='side must be "users" or "items", got \'rows\''):
            world.warm.ids("rows")

    def test_the_model_works_with_recommend_of_implicit_on_the_target_matrix(self, world):
        _, target = world.logs()
        model = world.warm.model_
        assert model.user_factors.shape == (len(target.users), D)
        assert model.item_factors.shape == (len(target.items), D)
        rows = np.arange(0, len(target.users), 3)
        columns, values = model.recommend(rows, target.user_items[rows], N=4)
        ids, scores = world.warm.recommend(target.users.ids[rows], 300)
        for place in range(len(rows)):  # ours may list new items between
            ours = dict(zip(ids[place], scores[place], strict=True))
            theirs = [ours[target.items.ids[column]] for column in columns[place]]
            np.testing.assert_allclose(theirs, values[place], rtol=1e-4, atol=1e-5)

    def test_mapped_rows_of_the_model_are_those_it_computes_again(self, world):
        """Training a row and folding it in are one function: float32, to 1e-5. Rows that no source
        knows stand around another prior, with another ridge, which the model cannot hold beside.
        """
        _, target = world.logs()
        model = world.warm.model_
        again, rows = (
            (model.recalculate_user, model.user_factors)
            if world.side == "users"
            else (model.recalculate_item, model.item_factors)
        )
        matrix = target.user_items if world.side == "users" else target.T.user_items
        mapped = np.flatnonzero(
            world.source.users.rows(world.target.users.ids, missing="mask") >= 0
        )
        assert 100 < len(mapped) < len(rows)
        expected = again(mapped, matrix[mapped])
        np.testing.assert_allclose(rows[mapped], expected, rtol=1e-5, atol=1e-6)


class TestStrength:
    def rows(self, logs, strength):
        warm = make_warm(strength=strength).fit(*logs)
        both = sorted({*logs[0].users} & {*logs[1].users})
        where = logs[1].users.rows(both)
        return warm, where, warm.model_.user_factors[where]

    def test_nothing_is_plain_als(self, logs):
        """Item factors never see the source, so the rows are those of a model without one."""
        warm, where, rows = self.rows(logs, 0.0)
        plain = make_model().fit(logs[1].user_items, show_progress=False)
        assert np.array_equal(warm.model_.item_factors, plain.item_factors)
        expected = plain.fold_in(logs[1].user_items[where])
        np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-6)

    def test_everything_is_the_prior_mean(self, logs):
        warm, _, rows = self.rows(logs, 1e7)
        both = sorted({*logs[0].users} & {*logs[1].users})
        own = make_model().fit(logs[0].user_items, show_progress=False)
        prior = warm.adapter_.predict(own.fold_in(logs[0].user_items[logs[0].users.rows(both)]))
        np.testing.assert_allclose(rows, prior.mean, rtol=1e-3, atol=1e-3)

    def test_more_of_it_brings_rows_nearer_to_the_prior_mean(self, logs):
        far = self.rows(logs, 1e7)[2]
        away = [np.linalg.norm(self.rows(logs, s)[2] - far) for s in (0.0, 0.3, 3.0, 30.0)]
        assert away == sorted(away, reverse=True)

    def test_a_number_of_numpy_is_a_number(self, logs):
        assert np.array_equal(self.rows(logs, np.int64(2))[2], self.rows(logs, 2.0)[2])

    def test_left_to_held_out_people_it_is_of_the_grid_for_each_number_of_shots(self, logs):
        warm = make_warm(strength="auto", adapter=RidgeAdapter()).fit(*logs)
        assert warm.strength_.shots == tuple(gain.shots for gain in warm.report_.gains)
        assert set(warm.strength_.temper[1:]) <= set(grids.TEMPERS)
        assert set(warm.strength_.centre) <= set(grids.CENTRES)
        assert warm.strength == "auto"
        assert isinstance(warm.adapter_.ridge, float)  # chosen too
        chosen = {trial["shots"]: trial for trial in warm.trials_ if trial["chosen"]}
        assert sorted(chosen) == list(warm.strength_.shots)
        strengths = zip(sorted(chosen), warm.strength_.temper, warm.strength_.centre, strict=True)
        for k, temper, centre in strengths:
            setting = chosen[k]["setting"]
            assert (setting["temper"], setting["centre"]) == (temper if k else 1.0, centre)
            assert setting["adapter"].startswith("RidgeAdapter(")
        grid = len(grids.TEMPERS) + len(grids.CENTRES)
        assert len(warm.trials_) > grid * len(chosen)
        for trial in warm.trials_:  # every one lies in the space that it says
            for knob, value in trial["setting"].items():
                assert value in warm.space_[knob]

    def test_where_nobody_is_asked_nothing_was_tried(self, logs):
        few = logs[0].keep_users(np.isin(logs[0].users.ids, logs[1].users.ids[:6]))
        warm = make_warm(strength="auto", adapter=RidgeAdapter()).fit(few, logs[1])
        assert warm.trials_ == []

    def test_a_target_of_fewer_items_than_factors_is_held_by_something(self):
        """Without a ridge plain ALS would have no solution there."""
        logs = make_cross_domain(200, 60, 20, source_interactions=10, target_interactions=6)
        warm = make_warm(
            strength="auto", model=make_model(factors=24, regularization=2000.0, alpha=20.0)
        ).fit(*logs)
        _, scores = warm.recommend(["stranger"], 3, history={"stranger": ["t1"]})
        assert np.isfinite(scores).all()


class TestSources:
    def test_ready_factors_serve_as_the_log_they_come_from(self, logs):
        source, target = logs
        own = make_model().fit(source.user_items, show_progress=False)
        rows = own.fold_in(source.user_items)
        factors = Factors.from_arrays(rows, own.item_factors, source.users, source.items)
        keys = sorted({*source.users} - {*target.users})
        ours = make_warm().fit(factors, target).recommend(keys)
        theirs = make_warm().fit(source, target).recommend(keys)
        assert np.array_equal(ours[0], theirs[0])
        assert np.array_equal(ours[1], theirs[1])

    @pytest.mark.parametrize("strength", ["auto", 2.0])
    def test_ready_factors_of_items_are_mapped_on_the_side_of_items(self, logs, strength):
        rng = np.random.default_rng(0)
        n = len(logs[0].users)
        factors = Factors.from_arrays(
            rng.normal(size=(4, 3)), rng.normal(size=(n, 3)), items=logs[0].users
        )
        warm = make_warm("items", strength=strength).fit(factors, logs[1].T)
        assert warm.report_.source_width == 3
        assert np.isfinite(warm.recommend(["t3"], 5)[1]).all()

    def test_the_source_may_have_a_model_of_its_own_and_any_width(self, logs):
        warm = make_warm(source_model=make_model(factors=9)).fit(*logs)
        assert (warm.report_.source_width, warm.report_.target_width) == (9, D)

    def test_a_source_model_of_implicit_is_used_as_a_copy(self, logs):
        model = BayesianPersonalizedRanking(factors=4, iterations=3, num_threads=1, random_state=0)
        warm = make_warm(source_model=model).fit(*logs)
        assert warm.report_.source_width == 4  # its column of ones says nothing
        assert model.user_factors is None

    @pytest.mark.parametrize("ready", [True, False])
    def test_a_source_that_is_projected_is_told(self, logs, ready):
        source, target = logs
        rows = np.random.default_rng(0).normal(size=(len(source.users), 4)).astype(np.float32)
        rows[:, 3] = rows[:, 0]
        factors = Factors.from_arrays(rows, np.ones((3, 4)), source.users)
        wide = make_model(factors=len(source.items) + 3)
        more = {} if ready else {"source_model": wide}
        report = (
            make_warm(strength=1.0, gate=False, **more)
            .fit(factors if ready else source, target)
            .report_
        )
        given = 4 if ready else wide.factors
        told = f"{report.source_width} of {given} directions of the source vary"
        assert [told in warning for warning in report.warnings].count(True) == 1
        assert report.source_width < given

    def test_rows_in_one_space_are_neither_projected_nor_told(self, logs):
        source, target = logs
        rows = np.random.default_rng(0).normal(size=(len(source.users), D)).astype(np.float32)
        rows[:, 2] = 0
        factors = Factors.from_arrays(rows, np.ones((3, D)), source.users)
        warm = make_warm(adapter=IdentityAdapter(), strength=1.0, gate=False).fit(factors, target)
        assert warm.report_.source_width == D
        assert not any("vary" in warning for warning in warm.report_.warnings)

    def test_the_choice_among_adapters_of_one_space_tries_no_target_model_of_another_width(
        self, logs
    ):
        source, target = logs
        rows = np.random.default_rng(0).normal(size=(len(source.users), D)).astype(np.float32)
        factors = Factors.from_arrays(rows, np.ones((3, D)), source.users)
        auto = AutoAdapter([IdentityAdapter()], budget=None)
        warm = make_warm(adapter=auto, strength="auto").fit(factors, target)
        assert warm.report_.source_width == D
        assert warm.model_.factors == D

    def test_a_source_column_that_only_one_anchor_varies_along_does_not_end_the_search(self, logs):
        """Without that anchor the column is constant, and the map of that fold says nothing."""
        source, target = logs
        rows = np.random.default_rng(0).normal(size=(len(source.users), D)).astype(np.float32)
        rows[:, 2] = 0
        active = np.diff(target.user_items.indptr) >= 5
        places = source.users.rows(target.users.ids[active], missing="mask")
        rows[places[places >= 0][0], 2] = 1
        factors = Factors.from_arrays(rows, np.ones((3, D)), source.users)
        warm = make_warm(strength="auto", gate=True).fit(factors, target)
        assert warm.report_.source_width == D
        assert warm.report_.gate is not None

    def test_the_mean_needs_nobody_in_both_catalogs(self, logs):
        source = Interactions.from_csr(
            logs[0].user_items, [f"s{key}" for key in logs[0].users], logs[0].items
        )
        warm = make_warm(adapter=MeanAdapter(), strength="auto").fit(source, logs[1])
        ids, _ = warm.recommend([source.users.ids[0], source.users.ids[9]], 5)
        assert np.array_equal(ids[0], ids[1])
        assert len(warm.report_.warnings) == 1


class TestManners:
    def test_it_shows_what_was_asked_for_and_whether_it_is_fitted(self):
        warm = WarmStart(make_model(), MeanAdapter(), strength=2.0)
        assert repr(warm) == (
            f"WarmStart(PriorALS, adapter={MeanAdapter()!r}, side='users', strength=2.0, "
            "gate=True, refine=0): not fitted"
        )

    def test_fitting_returns_itself_and_leaves_what_it_was_given_as_it_was(self, logs):
        given = *logs, make_model(rng=None), RidgeAdapter()
        before = copy.deepcopy([vars(each) for each in given])
        warm = WarmStart(*given[2:], rng=1)
        settings = dict(vars(warm))
        assert warm.fit(*logs) is warm
        assert {name: vars(warm)[name] for name in settings} == settings
        for log, kept in zip(logs, before[:2], strict=True):
            assert np.array_equal(log.user_items.data, kept["user_items"].data)
            assert np.array_equal(log.user_items.indices, kept["user_items"].indices)
        assert given[2].user_factors is None
        assert given[2].rng is None
        assert vars(given[3]) == before[3]

    def test_fitting_again_is_a_fresh_fit(self, logs):
        other = make_cross_domain(90, 30, 25, source_interactions=6, target_interactions=5, rng=8)
        twice = make_warm().fit(*other).fit(*logs)
        fresh = make_warm().fit(*logs)
        keys = logs[1].users.ids[:20]
        assert np.array_equal(twice.recommend(keys)[1], fresh.recommend(keys)[1])
        assert str(twice.report_) == str(fresh.report_)

    @pytest.mark.parametrize("num_threads", [1, 2])
    def test_the_same_seed_gives_the_same_bits_for_any_number_of_threads(self, logs, num_threads):
        def fit(rng, num_threads):
            model = make_model(rng=None, num_threads=0)
            adapter, strength = RidgeAdapter(), "auto"
            warm = WarmStart(model, adapter, strength=strength, rng=rng, num_threads=num_threads)
            return warm.fit(*logs)

        ours, theirs = fit(5, 1), fit(5, num_threads)
        keys = ours.ids("users").ids
        for one, two in zip(ours.recommend(keys), theirs.recommend(keys), strict=True):
            assert np.array_equal(one, two)
        assert ours.report_ == theirs.report_
        assert not np.array_equal(fit(6, 1).recommend(keys)[1], ours.recommend(keys)[1])


class TestErrors:
    def test_asking_before_fitting(self, tmp_path):
        warm = make_warm()
        for ask in (
            lambda: warm.recommend(["u1"]),
            lambda: warm.audience(["t1"]),
            lambda: warm.ids("users"),
            lambda: warm.save(tmp_path / "model"),
        ):
            with pytest.raises(ValueError, match=r"is not fitted: call fit\(source, target\)"):
                ask()
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("side", SIDES)
    def test_nobody_in_both_catalogs(self, logs, side):
        strangers = Interactions.from_csr(
            logs[0].user_items, [f"x{key}" for key in logs[0].users], logs[0].items
        )
        pair = (strangers, logs[1]) if side == "users" else (strangers.T, logs[1].T)
        with pytest.raises(AnchorError) as error:
            make_warm(side).fit(*pair)
        sizes = len(strangers.users), len(logs[1].users)
        assert f"no {side} in common: {sizes[0]} in the source (for example 'xu" in str(error.value)
        assert f"{sizes[1]} in the target (for example 'u" in str(error.value)

    def test_nobody_in_both_catalogs_who_has_done_anything(self, logs):
        alone = logs[0].users.rows(logs[1].users.ids, missing="mask") < 0
        matrix = sp.diags(alone.astype(float)) @ logs[1].user_items
        log = Interactions.from_csr(matrix, logs[1].users, logs[1].items)
        with pytest.raises(AnchorError, match="RidgeAdapter needs at least 2 anchors"):
            make_warm().fit(logs[0], log)

    @pytest.mark.parametrize("live", [0, 1])
    def test_too_few_for_a_choice_are_told_of_what_was_given(self, logs, live):
        """Not of the first of the adapters that it would choose from."""
        known = np.flatnonzero(logs[0].users.rows(logs[1].users.ids, missing="mask") >= 0)
        dropped = np.ones(len(logs[1].users))
        dropped[known[live:]] = 0
        matrix = sp.csr_matrix(sp.diags(dropped) @ logs[1].user_items)
        matrix.eliminate_zeros()
        log = Interactions.from_csr(matrix, logs[1].users, logs[1].items)
        for adapter, who in ((None, "WarmStart"), (AutoAdapter(), "AutoAdapter")):
            message = f"^{who} needs at least 2 anchors, users with .*: it got {live}; .*MeanAdapt"
            with pytest.raises(AnchorError, match=message):
                WarmStart(make_model(), adapter, rng=0).fit(logs[0], log)

    @pytest.mark.parametrize("adapter", [RidgeAdapter(), MeanAdapter()])
    def test_integers_on_one_side_and_strings_on_the_other(self, logs, adapter):
        numbered = Interactions.from_csr(logs[0].user_items, items=logs[0].items)
        with pytest.raises(DataError, match=r"user ids are integers .* but strings .* convert"):
            make_warm(adapter=adapter).fit(numbered, logs[1])

    @pytest.mark.parametrize(
        ("settings", "kind", "message"),
        [
            ({"side": "rows"}, ValueError, 'side must be "users" or "items", got \'rows\''),
            ({"refine": -2}, ValueError, "refine must be a whole number of sweeps"),
            ({"strength": "strong"}, ValueError, 'strength must be "auto", a number from 0'),
            ({"strength": -1.0}, ValueError, 'strength must be "auto", a number from 0'),
            ({"strength": np.nan}, ValueError, 'strength must be "auto", a number from 0'),
            ({"strength": True}, ValueError, 'strength must be "auto", a number from 0'),
            ({"adapter": FusedAdapter([MeanAdapter()])}, ValueError, "FusedAdapter needs at least"),
            ({"adapter": IdentityAdapter("x")}, ValueError, "scale must be a finite number"),
            ({"strength": None}, ValueError, 'strength must be "auto", a number from 0'),
            ({"model": "als"}, TypeError, "got builtins.str"),
            ({"adapter": "ridge"}, TypeError, "adapter must be an object with fit and predict"),
            ({"adapter": RidgeAdapter}, TypeError, "adapter must be an object with fit and"),
        ],
    )
    def test_wrong_arguments_are_told_before_anything_is_fitted(
        self, logs, settings, kind, message
    ):
        with pytest.raises(kind, match=message):
            make_warm(**settings).fit(*logs)

    def test_wrong_catalogs_are_told(self, logs):
        with pytest.raises(TypeError, match="source must be Interactions or Factors, got csr_matr"):
            make_warm().fit(logs[0].user_items, logs[1])
        with pytest.raises(TypeError, match="target must be Interactions, got Factors"):
            make_warm().fit(logs[0], Factors.from_arrays(np.ones((2, 1)), np.ones((3, 1))))


@pytest.mark.skipif(not SHARED.is_file(), reason="the shared data set amazon is not there")
def test_held_out_people_of_food_to_kitchen_hold_on_to_the_prior_at_five_shots():
    """Were they left in the fit of the items, no prior at all would look best to them."""
    logs = (read_interactions(f"{SHARED}#{name}") for name in ("Food", "Kitchen"))
    food, kitchen = (log.keep_users(np.arange(0, len(log.users), 4)) for log in logs)
    assert food.users == kitchen.users
    adapter = RidgeAdapter(1.0, normalize=True)
    warm = WarmStart(PriorALS(factors=32), adapter, rng=0).fit(food, kitchen)
    strength = warm.strength_
    assert strength.temper[strength.shots.index(5)] > min(grids.TEMPERS)
    gains = {gain.shots: gain for gain in warm.report_.gains}
    assert gains[0].low > 0


@pytest.mark.parametrize("empty", ["source", "target"])
def test_an_empty_catalog_is_refused(logs, empty):
    nothing = Interactions.from_csr(sp.csr_matrix((0, 4)), users=[], items=list("abcd"))
    given = {"source": logs[0], "target": logs[1], empty: nothing}
    with pytest.raises(DataError, match=f"{empty} is empty"):
        make_warm().fit(given["source"], given["target"])

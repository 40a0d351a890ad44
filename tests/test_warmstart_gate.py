"""A closed gate answers bit for bit as the best arm without a source, and an open one does not.

The arms are put together from the target log alone, by `PriorALS`, counts and `top_n`.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from coldstart import plan, search
from coldstart import request as requests
from coldstart.adapters import AutoAdapter, MeanAdapter, RidgeAdapter
from coldstart.als import PriorALS
from coldstart.datasets import make_cross_domain
from coldstart.evidence import SoftGate
from coldstart.factors import Factors
from coldstart.interactions import Interactions
from coldstart.prior import Prior
from coldstart.ranking import recommend_rows, top_n
from coldstart.strength import NullArm, Strength
from coldstart.targets import prior_als
from coldstart.warmstart import WarmStart

D, RIDGE, N = 5, 2.0, 7
SHOTS = (0, 1, 2)
SIDES = ["users", "items"]
# As the search knows them: ridges are multiples of the model's.
ARMS = {
    "popularity": NullArm("popularity", "all", 1.0, 1.0),
    "popularity of anchors": NullArm("popularity", "anchors", 1.0, 1.0),
    "mean": NullArm("mean", "all", 0.3, 1.0),
    "mean of anchors": NullArm("mean", "anchors", 3.0, 0.0),
    "plain": NullArm("plain", "all", 1.0, 10.0),
}
FIRST = NullArm("mean", "all", 1.0, 1.0)


def make_model():
    return PriorALS(factors=D, regularization=RIDGE, alpha=5.0, iterations=4, rng=0, num_threads=1)


@pytest.fixture(scope="module")
def logs():
    """About 110 people in both, and some in either."""
    world = make_cross_domain(
        170, 45, 38, overlap=0.67, source_interactions=9, target_interactions=6, rng=3
    )
    return world.source, world.target


def only(arm):
    """The search knows one arm without a source; nobody has a plain one without interactions."""

    def arms(shots, popular):
        if (arm.kind == "popularity" and not popular) or (arm.kind == "plain" and not shots):
            return [FIRST]
        return [arm]

    return arms


def deciding(opened):
    """The gate's own verdict but for where it is open."""

    def decide(*args, **settings):
        return replace(own_verdict(*args, **settings), open=opened)

    return decide


own_verdict = plan.decide


def make_warm(side="users", **settings):
    given = {"strength": Strength((0, 1), (0.75, 1.25), (1.0, 3.0), 1.5, (0.0, 0.4)), "rng": 0}
    adapter = AutoAdapter(
        [RidgeAdapter(0.3, normalize=False)], shots=SHOTS, models=False, people=40
    )
    return WarmStart(make_model(), adapter, side=side, num_threads=1, **{**given, **settings})


@dataclass(frozen=True)
class Closed:
    """A warm start with a closed gate, its logs from the view of the mapped side, and its arm."""

    warm: WarmStart
    source: Interactions
    target: Interactions
    arm: NullArm

    def ask(self, ids, **how):
        """Answers for ids of the mapped side."""
        method = self.warm.recommend if self.warm.side == "users" else self.warm.audience
        return method(ids, N, **how)

    def ask_other(self, ids, **how):
        """Answers for ids of the other side."""
        method = self.warm.audience if self.warm.side == "users" else self.warm.recommend
        return method(ids, N, **how)


def fit_closed(monkeypatch, logs, name, side, opened=(False, False, False), **settings):
    monkeypatch.setattr(search, "_null_arms", only(ARMS[name]))
    monkeypatch.setattr(plan, "decide", deciding(opened))
    given = logs if side == "users" else tuple(log.T for log in logs)
    return Closed(make_warm(side, **settings).fit(*given), *logs, ARMS[name])


@pytest.fixture(params=ARMS)
def name(request):
    return request.param


@pytest.fixture(params=SIDES)
def side(request):
    return request.param


@pytest.fixture
def closed(monkeypatch, logs, name, side):
    return fit_closed(monkeypatch, logs, name, side)


class Alone:
    """What an arm answers that has seen the target log and who is in both catalogs."""

    def __init__(self, source, target, arm):
        self.target, self.arm = target, arm
        self.model = make_model().fit(target.user_items, show_progress=False)
        self.source = source
        both = target.users.rows(source.users.ids, missing="mask")
        self.anchors = both[both >= 0]
        rows = self.model.fold_in(target.user_items).astype(np.float64)
        mean = rows.mean(axis=0)
        covariance = (rows - mean).T @ (rows - mean) / len(rows)
        sphere = np.eye(D) * (np.trace(covariance) / D)
        self.shared = np.linalg.inv((len(rows) * covariance + sphere) / (len(rows) + 1))
        self.means = {"all": mean, "anchors": rows[self.anchors].mean(axis=0)}

    def log(self, keys, history):
        """The target's interactions of some ids with the history of each added."""
        dense = np.zeros((len(keys), len(self.target.items)), np.float32)
        places = self.target.users.rows(keys, missing="mask")
        dense[places >= 0] = self.target.user_items[places[places >= 0]].toarray()
        for row, key in zip(dense, keys, strict=True):
            columns = self.target.items.rows(list(history.get(key, ())))
            row[columns] = np.maximum(row[columns], 1)
        return Interactions.from_csr(dense, keys, self.target.items).user_items

    def rows(self, log, arm):
        """Rows (n, d) of people with these interactions, by the model's own methods."""
        model = self.model.clone()
        model.item_factors = self.model.item_factors
        if arm.kind == "plain":
            model.user_regularization_ = arm.regularization * RIDGE
            return model.fold_in(log)
        # behind a list of what is popular stands a mean
        whose, temper = arm.whose, arm.temper
        prior = Prior(self.means[whose][None], temper, shared=self.shared)
        everybody = prior.take(np.zeros(log.shape[0], int))
        return model.condition_users(
            log, everybody, regularization=arm.regularization * RIDGE
        ).user_factors

    def arm_of(self, count, *, mapped=True):
        """What serves an id with so many interactions that the source knows, or does not."""
        if (self.arm.kind == "plain" and not count) or (
            self.arm.kind == "popularity" and not mapped
        ):
            return FIRST
        return self.arm

    def recommend(self, keys, history=()):
        """Item ids and scores, person by person."""
        history = dict(history)
        log = self.log(keys, history)
        ids, scores = [], []
        for row in log:
            arm = self.arm_of(row.nnz)
            if arm.kind == "popularity":
                among = self.target.user_items
                among = among[self.anchors] if arm.whose == "anchors" else among
                popular = np.asarray((among > 0).sum(axis=0), np.float32)
                columns, values = top_n(popular, N, seen=row)
            else:
                columns, values = recommend_rows(
                    self.rows(row, arm), self.model.item_factors, N, seen=row
                )
            ids.append(self.target.items.ids[columns[0]])
            scores.append(values[0])
        return np.array(ids), np.array(scores)

    def everybody(self, ids):
        """Rows of all mapped ids, whatever catalog they are known in."""
        log = self.log(ids, {})
        known = self.source.users.rows(ids, missing="mask") >= 0
        return np.concatenate(
            [
                self.rows(row, self.arm_of(row.nnz, mapped=mapped))
                for row, mapped in zip(log, known, strict=True)
            ]
        )


def people_of(closed):
    """Ten of both catalogs, and ten of the source alone."""
    both = [key for key in closed.target.users if key in closed.source.users]
    alone = [key for key in closed.source.users if key not in closed.target.users]
    return [*both[:10], *alone[:10]]


def assert_same_bits(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        assert np.array_equal(one, other)


class TestClosed:
    def test_lists_and_scores_are_those_of_the_arm(self, closed):
        keys = people_of(closed)
        alone = Alone(closed.source, closed.target, closed.arm)
        assert_same_bits(closed.ask(keys), alone.recommend(keys))

    def test_an_open_gate_answers_otherwise(self, monkeypatch, logs, name, side):
        """The canary: the source moves the list of nearly everybody."""
        opened = fit_closed(monkeypatch, logs, name, side, (True, True, True))
        keys = people_of(opened)
        alone = Alone(opened.source, opened.target, opened.arm)
        same = (opened.ask(keys)[0] == alone.recommend(keys)[0]).all(axis=1)
        assert same.mean() < 0.2

    def test_so_they_are_with_history(self, closed):
        keys = people_of(closed)
        told = {key: closed.target.items.ids[place % 5 : 9 : 3] for place, key in enumerate(keys)}
        alone = Alone(closed.source, closed.target, closed.arm)
        assert_same_bits(closed.ask(keys, history=told), alone.recommend(keys, told))

    def test_so_is_the_audience_of_what_the_other_side_has(self, closed):
        mapped = closed.warm.served_.mapped.ids.ids
        alone = Alone(closed.source, closed.target, closed.arm)
        queries = ["t1", "t4", "t9"]
        columns = closed.target.items.rows(queries)
        seen = alone.log(mapped, {}).T.tocsr()[columns]
        rows = alone.everybody(mapped)
        places, scores = recommend_rows(alone.model.item_factors[columns], rows, N, seen=seen)
        assert_same_bits(closed.ask_other(queries), (mapped[places], scores))

    def test_a_saved_one_answers_the_same(self, closed, tmp_path):
        closed.warm.save(tmp_path)
        loaded = replace(closed, warm=WarmStart.load(tmp_path))
        keys = people_of(closed)
        told = dict.fromkeys(keys, closed.target.items.ids[:3])
        for ask in (
            lambda model: model.ask(keys),
            lambda model: model.ask(keys, history=told),
            lambda model: model.ask(["nobody"], history={"nobody": ["t1", "t2"]}),
            lambda model: model.ask_other(["t1", "t4"]),
            lambda model: model.ask_other(["t1"], history={"t1": keys[:4]}),
        ):
            assert_same_bits(ask(loaded), ask(closed))
        assert str(loaded.warm.report_) == str(closed.warm.report_)

    def test_the_report_names_the_arm(self, closed):
        told = str(closed.warm.report_)
        fallback = closed.warm.report_.fallback
        assert "Gate closed" in told
        assert f"Closed from 2 interactions on: {fallback.arms[-1]}." in told
        assert fallback.arms[-1].kind == closed.arm.kind
        assert "None of this serves, because the gate is closed throughout." in told

    def test_the_arm_of_the_test_is_told_as_the_one_that_serves(self, closed):
        """Its ridge as it is, and not as a multiple of the model's."""
        gate = closed.warm.report_.gate
        for bucket, arm in zip(gate.buckets, closed.warm.report_.fallback.arms, strict=True):
            assert bucket.baseline_name == str(arm)


def test_nothing_of_the_source_is_in_the_answers(monkeypatch, logs, name):
    """Source rows of everybody are dealt out anew; who is in both catalogs stays the same."""
    source = logs[0]
    order = np.random.default_rng(0).permutation(len(source.users))
    dealt = Interactions.from_csr(source.user_items[order], source.users, source.items)
    ours, theirs = (
        fit_closed(monkeypatch, (log, logs[1]), name, "users") for log in (source, dealt)
    )
    keys = people_of(ours)
    assert_same_bits(ours.ask(keys), theirs.ask(keys))
    told = dict.fromkeys(keys, ("t1", "t2"))
    assert_same_bits(ours.ask(keys, history=told), theirs.ask(keys, history=told))


class TestPartlyOpen:
    """Open at 0 interactions, closed from 1 on."""

    OPEN = (True, False, False)

    def test_people_with_interactions_are_served_by_the_arm(self, monkeypatch, logs, name, side):
        partly = fit_closed(monkeypatch, logs, name, side, self.OPEN)
        keys = [key for key in people_of(partly) if key in partly.target.users]
        told = {key: ["t3", "t7"] for key in people_of(partly)}
        alone = Alone(partly.source, partly.target, partly.arm)
        assert_same_bits(partly.ask(keys), alone.recommend(keys))
        everybody = people_of(partly)
        assert_same_bits(partly.ask(everybody, history=told), alone.recommend(everybody, told))

    def test_people_without_are_served_by_the_source(self, monkeypatch, logs, name, side):
        partly = fit_closed(monkeypatch, logs, name, side, self.OPEN)
        given = logs if side == "users" else tuple(log.T for log in logs)
        open_to_all = make_warm(side, gate=False).fit(*given)
        assert partly.warm.strength_.centre[0] == open_to_all.strength_.centre[0]
        keys = [key for key in partly.source.users if key not in partly.target.users]
        ask = open_to_all.recommend if side == "users" else open_to_all.audience
        assert_same_bits(partly.ask(keys), ask(keys, N))

    def test_a_saved_one_answers_the_same(self, monkeypatch, logs, tmp_path, name):
        partly = fit_closed(monkeypatch, logs, name, "users", self.OPEN)
        partly.warm.save(tmp_path)
        loaded = replace(partly, warm=WarmStart.load(tmp_path))
        keys = people_of(partly)
        told = {key: ["t3", "t7"] for key in keys[::2]}
        assert_same_bits(loaded.ask(keys, history=told), partly.ask(keys, history=told))
        assert_same_bits(loaded.ask_other(["t1", "t3"]), partly.ask_other(["t1", "t3"]))
        assert loaded.warm.served_.mapped.belief.open == self.OPEN


class TestBlend:
    def test_scores_of_the_row_map_stand_beside_those_of_the_factors(self, logs):
        """Blended for people with interactions; saved, it answers the same."""
        warm = make_warm(gate=False).fit(*logs)
        plain = make_warm(gate=False, strength=replace(warm.strength_, blend=(0.0, 0.0)))
        plain.fit(*logs)
        both = [key for key in logs[1].users if key in logs[0].users][:10]
        alone = [key for key in logs[0].users if key not in logs[1].users][:10]
        assert_same_bits(warm.recommend(alone, N), plain.recommend(alone, N))
        assert not np.allclose(warm.recommend(both, N)[1], plain.recommend(both, N)[1], rtol=1e-2)

    def test_a_saved_one_answers_the_same(self, logs, tmp_path):
        warm = make_warm(gate=False).fit(*logs)
        warm.save(tmp_path)
        loaded = WarmStart.load(tmp_path)
        keys, told = warm.ids("users").ids, {logs[0].users.ids[0]: ["t1", "t5"]}
        assert_same_bits(
            loaded.recommend(keys, N, history=told), warm.recommend(keys, N, history=told)
        )
        assert_same_bits(loaded.audience(["t1"], N), warm.audience(["t1"], N))


class TestTheGateItself:
    def fit(self, logs, **settings):
        adapter = RidgeAdapter(1.0, normalize=True)
        return WarmStart(make_model(), adapter, rng=0, num_threads=1, **settings).fit(*logs)

    def test_it_opens_where_the_source_says_everything(self):
        size = {"source_interactions": 15, "target_interactions": 8}
        logs = make_cross_domain(900, 60, 50, noise=0.0, **size, rng=1)
        warm = self.fit(logs)
        assert warm.report_.gate.open[0]
        assert warm.served_.mapped.belief.open == warm.report_.gate.open

    def test_it_closes_where_the_source_says_nothing(self, logs):
        source = logs[0]
        order = np.random.default_rng(0).permutation(len(source.users))
        dealt = Interactions.from_csr(source.user_items[order], source.users, source.items)
        warm = self.fit((dealt, logs[1]))
        assert not any(warm.report_.gate.open)
        assert warm.report_.gate.cause is not None

    def test_without_it_there_is_no_decision_and_the_source_is_followed(self, logs):
        warm = self.fit(logs, gate=False)
        assert warm.report_.gate is None
        assert all(warm.served_.mapped.belief.open)

    def test_it_is_closed_where_nobody_can_be_held_out(self, logs):
        keep = np.zeros(len(logs[0].users), bool)
        keep[
            [logs[0].users.rows([key])[0] for key in logs[1].users if key in logs[0].users][:6]
        ] = 1
        few = logs[0].keep_users(keep)
        warm = self.fit((few, logs[1]), strength=1.0)
        assert not any(warm.served_.mapped.belief.open)
        assert warm.report_.gate is None
        assert any("the gate is closed" in warning for warning in warm.report_.warnings)
        assert warm.served_.mapped.belief.fallback.shots == (0, 1, 2, 5)  # strangers chose them

    def test_a_strength_by_hand_keeps_its_entries_beside_those_that_were_tested(
        self, monkeypatch, logs
    ):
        monkeypatch.setattr(plan, "decide", deciding((True, False, False)))
        given = Strength((0, 2, 9), (0.5, 1.0, 1.5), (1.0, 2.0, 3.0), 1.5)
        warm = make_warm(strength=given).fit(*logs)
        strength, opened = warm.strength_, warm.served_.mapped.belief.open
        assert strength.shots == (0, 1, 2, 9)
        for ours, theirs in zip(
            strength.knobs(np.arange(12)), given.knobs(np.arange(12)), strict=True
        ):
            assert ours.tolist() == theirs.tolist()
        assert strength.regularization == pytest.approx(1.5, rel=1e-12)
        assert opened == (True, False, False, False)

    @pytest.mark.parametrize("gate", [False, True])
    @pytest.mark.parametrize("ridge", [0.0, RIDGE])
    def test_a_strength_by_hand_keeps_its_ridge_whatever_that_of_the_model(self, logs, ridge, gate):
        """Of a model without a ridge no ridge is a multiple; rows without one are others."""
        model = make_model()
        model.regularization = ridge
        rows = []
        for given in (30.0, 0.0):
            warm = make_warm(strength=Strength(regularization=given), gate=gate)
            warm.model = model
            rows.append(warm.fit(*logs).model_.user_factors)
            assert warm.strength_.regularization == given
        assert gate or not np.allclose(*rows, rtol=1e-2)

    def test_a_strength_by_hand_keeps_its_ridge_with_another_target_model(self, monkeypatch, logs):
        """The second target model has four times the ridge."""
        monkeypatch.setattr(prior_als, "VARIANTS", ({"regularization": 4},))
        monkeypatch.setattr(plan, "decide", deciding((True, True, True)))
        monkeypatch.setattr(search, "_first", lambda number, count: [count - 1])
        warm = make_warm(strength=Strength(regularization=3.0))
        warm.adapter.models = True
        warm.fit(*logs)
        assert warm.model_.regularization == 4 * RIDGE
        assert warm.strength_.regularization == 3.0


def shuffled(log, share, seed):
    """The log with rows of a share of the people dealt out among them, and these people."""
    rng = np.random.default_rng(seed)
    some = np.sort(rng.permutation(len(log.users))[: int(share * len(log.users))])
    order = np.arange(len(log.users))
    order[some] = rng.permutation(some)
    return Interactions.from_csr(log.user_items[order], log.users, log.items), log.users.ids[some]


@pytest.fixture(scope="module")
def telling():
    """The source says much of half of the people, and nothing of the others."""
    source, target = make_cross_domain(
        500, 80, 80, factors=6, target_factors=6, affinity=3.0, noise=0.1, skew=0.5, rng=1
    )
    source, foreign = shuffled(source, 0.5, 1)
    return source, target, foreign


def fit_ridge(source, target, **settings):
    adapter = RidgeAdapter(1.0, normalize=True)
    return WarmStart(make_model(), adapter, rng=0, num_threads=1, **settings).fit(source, target)


@pytest.fixture(scope="module")
def soft(telling):
    return fit_ridge(*telling[:2], gate="soft")


class TestSoft:
    def trust(self, warm, gate):
        """Ids with interactions, and how far they would be trusted under some gate."""
        mapped = warm.served_.mapped
        belief = replace(mapped.belief, soft=gate, open=(True,) * len(mapped.belief.open))
        served = replace(warm.served_, mapped=replace(mapped, belief=belief))
        counts = np.diff(mapped.seen.indptr)
        rows = np.flatnonzero((counts > 0) & mapped.belief.mapped[:-1])
        return mapped.ids.ids[rows], served.trust(rows, mapped.seen[rows], 1)

    def test_people_whose_source_rows_are_of_others_are_trusted_less(self, telling, soft):
        ids, weights = self.trust(soft, SoftGate(1.0, 0.0))
        foreign = np.isin(ids, telling[2])
        above = (weights[~foreign, None] > weights[foreign]).mean()  # the area under the curve
        assert 150 < foreign.sum() < len(ids) - 150
        assert above > 0.65  # one half by chance, with a standard error of 0.03 for 150 each
        assert weights[~foreign].mean() > weights[foreign].mean() + 0.05

    def test_the_report_tells_what_serves(self, soft):
        report, belief = soft.report_, soft.served_.mapped.belief
        assert report.gate.open[0]
        assert belief.open == report.gate.open
        assert (belief.soft, report.soft) == (report.soft, soft._fitted.belief.soft)
        mapped = soft.served_.mapped
        ids, weights = self.trust(soft, report.soft)
        rows = mapped.ids.rows(ids)
        follows = belief.follows(rows, np.diff(mapped.seen.indptr)[rows])
        assert report.trusted == follows.sum()
        if follows.any():
            assert report.trust == pytest.approx(weights[follows].mean(), rel=1e-12)
        assert f"Soft gate: t {report.soft.t:g}, pi " in str(report)

    def test_people_without_interactions_stand_between_the_two_means_by_pi(self, telling, soft):
        mapped = soft.served_.mapped
        belief = mapped.belief
        new = np.flatnonzero(np.diff(mapped.seen.indptr) == 0)
        assert len(new) > 20
        pi = belief.soft.weight(0.0, 0.0)
        mapped_mean = belief.prior.take(new).centre(belief.strength.centre[0]).mean
        null = belief.nulls.mean[belief.unknown.arms[0].row]
        expected = pi * mapped_mean + (1 - pi) * null
        np.testing.assert_allclose(mapped.factors[new], expected, rtol=1e-4, atol=1e-5)

    def test_a_saved_one_answers_the_same(self, monkeypatch, logs, tmp_path):
        """With a row map, open everywhere, and weights that are far from 0 and 1."""
        monkeypatch.setattr(plan, "decide", deciding((True, True, True)))
        monkeypatch.setattr(search, "fit_soft", lambda *arrays: SoftGate(0.5, 0.3))
        warm = make_warm(gate="soft").fit(*logs)
        warm.save(tmp_path)
        loaded = WarmStart.load(tmp_path)
        assert loaded.gate == "soft"
        assert loaded.served_.mapped.belief.soft == SoftGate(0.5, 0.3)
        keys, told = warm.ids("users").ids, {logs[0].users.ids[0]: ["t1", "t5"]}
        hard = make_warm().fit(*logs)
        for ask in (
            lambda model: model.recommend(keys, N),
            lambda model: model.recommend(keys, N, history=told),
            lambda model: model.audience(["t1", "t4"], N),
        ):
            assert_same_bits(ask(loaded), ask(warm))
            assert not np.allclose(ask(warm)[1], ask(hard)[1], rtol=1e-2)
        assert str(loaded.report_) == str(warm.report_)

    def test_history_that_is_stored_and_history_that_is_told_are_weighed_alike(
        self, monkeypatch, logs
    ):
        monkeypatch.setattr(plan, "decide", deciding((True, True, True)))
        monkeypatch.setattr(search, "fit_soft", lambda *arrays: SoftGate(0.5, 0.3))
        warm = make_warm(gate="soft").fit(*logs)
        some = [key for key in logs[1].users if key in logs[0].users][:20]
        stored = dict(zip(some, logs[1].user_items[logs[1].users.rows(some)], strict=True))
        told = {key: logs[1].items.ids[row.indices[row.data <= 1]] for key, row in stored.items()}
        one, two = warm.recommend(some, N), warm.recommend(some, N, history=told)
        assert np.array_equal(one[0], two[0])
        np.testing.assert_allclose(one[1], two[1], rtol=1e-4)

    def test_closed_it_answers_bit_for_bit_as_the_arm(self, monkeypatch, logs, name, side):
        closed = fit_closed(monkeypatch, logs, name, side, gate="soft")
        keys = people_of(closed)
        told = dict.fromkeys(keys, closed.target.items.ids[:3])
        alone = Alone(closed.source, closed.target, closed.arm)
        assert_same_bits(closed.ask(keys), alone.recommend(keys))
        assert_same_bits(closed.ask(keys, history=told), alone.recommend(keys, told))
        assert closed.warm.report_.soft is None

    def test_partly_open_the_closed_buckets_are_the_arm_s_bit_for_bit(
        self, monkeypatch, logs, name
    ):
        partly = fit_closed(monkeypatch, logs, name, "users", (True, False, False), gate="soft")
        keys = [key for key in people_of(partly) if key in partly.target.users]
        alone = Alone(partly.source, partly.target, partly.arm)
        assert_same_bits(partly.ask(keys), alone.recommend(keys))
        assert partly.warm.report_.soft is not None
        assert partly.warm.report_.trust is None  # nobody with interactions follows the source

    def test_with_nothing_to_gain_it_does_not_open_where_the_whole_source_would_not(self):
        opened = {True: 0, "soft": 0}
        for seed in range(4):
            source, target = make_cross_domain(
                160, 45, 38, source_interactions=9, target_interactions=7, rng=seed
            )
            source, _ = shuffled(source, 1.0, seed)
            for gate in opened:
                opened[gate] += sum(
                    fit_ridge(source, target, gate=gate, strength=1.0).report_.gate.open
                )
        assert opened["soft"] <= opened[True]

    def test_what_chooses_the_rest_does_not_change(self, telling, soft):
        hard = fit_ridge(*telling[:2], gate=True)
        assert hard.strength_ == soft.strength_
        assert hard.report_.fallback == soft.report_.fallback
        assert hard.report_.soft is None

    @pytest.mark.parametrize("gate", ["hard", "Soft", None, 1, 0.5, ("soft",)])
    def test_gates_that_there_are_not_are_refused(self, logs, gate):
        with pytest.raises(ValueError, match='gate must be True, False or "soft", got '):
            make_warm(gate=gate).fit(*logs)

    def test_it_is_closed_where_nobody_can_be_held_out(self, logs):
        few = logs[0].keep_users(np.arange(len(logs[0].users)) < 8)
        warm = fit_ridge(few, logs[1], gate="soft")
        assert not any(warm.served_.mapped.belief.open)
        assert any("the gate is closed" in warning for warning in warm.report_.warnings)

    def test_a_refined_model_takes_one_decision(self, logs):
        with pytest.raises(ValueError, match="takes one decision for the whole model"):
            make_warm(gate="soft", strength="auto", refine=2).fit(*logs)


class TestDefaults:
    def test_an_adapter_is_not_needed(self, monkeypatch, logs):
        """All of them are chosen from; without any time, the first is taken."""
        monkeypatch.setattr(requests, "AutoAdapter", lambda: AutoAdapter(budget=0.0))
        warm = WarmStart(make_model(), rng=0, num_threads=1)
        keys = logs[0].users.ids[:5]
        assert np.isfinite(warm.fit(*logs).recommend(keys, N)[1]).all()
        assert warm.adapter is None
        assert type(warm.adapter_) is type(AutoAdapter().candidates()[0])
        assert warm.report_.gate is not None

    def test_collinear_source_embeddings_do_not_make_it_fail(self, logs):
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(len(logs[0].users), 3))
        wide = np.hstack([rows, rows @ rng.normal(size=(3, 4)), np.ones((len(rows), 1))])
        factors = Factors.from_arrays(wide, np.ones((4, 8)), logs[0].users)
        warm = WarmStart(make_model(), RidgeAdapter(1.0), strength=1.0, gate=False, rng=0)
        warm.fit(factors, logs[1])
        assert warm.report_.source_width == 3
        assert np.isfinite(warm.recommend(logs[0].users.ids[:5], N)[1]).all()

    def test_a_source_model_with_more_factors_than_items_is_enough(self, logs):
        model = PriorALS(factors=70, iterations=3, rng=0, num_threads=1)
        warm = WarmStart(
            make_model(), RidgeAdapter(1.0), source_model=model, strength=1.0, gate=False, rng=0
        ).fit(*logs)
        assert warm.report_.source_width < 70
        assert np.isfinite(warm.recommend(logs[0].users.ids[:5], N)[1]).all()

    def test_where_no_map_can_help_the_mean_and_the_gate_agree(self, logs):
        warm = WarmStart(make_model(), MeanAdapter(), rng=0, num_threads=1).fit(*logs)
        assert not any(warm.report_.gate.open)

"""MixtureAdapter: its likelihood, brute force where a gate is fixed, and worlds of known maps."""

import re

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import multivariate_normal

from coldstart.adapters import AnchorContext, MixtureAdapter, RidgeAdapter
from coldstart.adapters.experts import Penalties, fit_experts

N, D_SOURCE, D = 120, 5, 3


def draw(n=N, seed=0, noise=0.3):
    """Rows of two kinds, told apart by their first column, with a map for each."""
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(n, D_SOURCE))
    maps = np.random.default_rng(9).normal(size=(2, D_SOURCE, D))
    kind = (source[:, 0] > 0).astype(int)
    target = np.einsum("ni,nij->nj", source, maps[kind]) + noise * rng.normal(size=(n, D))
    return source, target


def near(actual, expected, rtol=1e-8):
    """The same numbers computed in two ways, in float64."""
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def problem(k=3, tie=2.0, gate=0.5, seed=0):
    rng = np.random.default_rng(seed)
    source, target = draw(seed=seed)
    x = np.hstack([np.ones((N, 1)), source])
    penalties = Penalties(tie, 0.3 * rng.normal(size=(1 + D_SOURCE, D)), 0.7 * np.eye(D), gate)
    start = rng.dirichlet(np.ones(k), N)
    return x, target, rng.uniform(0.2, 3, N), start, penalties


def objective(experts, x, t, weight, penalties):
    """The penalised log-likelihood, as it is written."""
    shares = softmax(x @ experts.gate.T, axis=1)
    psi = experts.covariance
    densities = np.stack(
        [
            [multivariate_normal.pdf(row, mean, psi) for row, mean in zip(t, x @ w, strict=True)]
            for w in experts.maps
        ],
        axis=1,
    )
    held = penalties.sphere.copy()
    for w in experts.maps:
        held += penalties.tie * (w - penalties.shared).T @ (w - penalties.shared)
    held = np.trace(np.linalg.solve(psi, held)) + np.linalg.slogdet(psi)[1]
    fit = weight @ np.log(np.sum(shares * densities, axis=1))
    return fit - (held + penalties.gate * np.sum(experts.gate**2)) / 2


class TestClimbing:
    @pytest.mark.parametrize("k", [1, 2, 4])
    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize("tie", [1e-3, 2.0, 500.0])
    def test_the_likelihood_never_falls(self, k, seed, tie):
        *_, trace = fit_experts(*problem(k, tie, seed=seed), steps=40)
        assert len(trace) > 1
        assert (np.diff(trace) > -1e-9 * np.abs(trace[1:])).all()  # rounding

    def test_it_is_the_one_that_is_written(self):
        x, t, weight, start, penalties = problem()
        experts, trace = fit_experts(x, t, weight, start, penalties, steps=3)
        near(trace[-1], objective(experts, x, t, weight, penalties))

    def test_where_it_ends_no_small_change_is_better(self):
        """Steps end on a growth of 1e-4 a row; changes of 1% are far larger than what is left."""
        x, t, weight, start, penalties = problem()
        experts, trace = fit_experts(x, t, weight, start, penalties, steps=500)
        rng = np.random.default_rng(1)
        for _ in range(30):
            gate = experts.gate + 0.05 * rng.normal(size=experts.gate.shape)
            maps = experts.maps + 0.05 * rng.normal(size=experts.maps.shape)
            for changed in ((gate, experts.maps), (experts.gate, maps)):
                other = type(experts)(*changed, experts.covariance, experts.inverses)
                assert objective(other, x, t, weight, penalties) < trace[-1]

    def test_one_expert_is_the_ridge_toward_the_shared_map(self):
        x, t, weight, start, penalties = problem(k=1)
        experts, _ = fit_experts(x, t, weight, start, penalties, steps=5)
        d = np.diag(weight)
        left = x.T @ d @ x + penalties.tie * np.eye(len(x.T))
        w = np.linalg.solve(left, x.T @ d @ t + penalties.tie * penalties.shared)
        near(experts.maps[0], w)
        off = w - penalties.shared
        scatter = (t - x @ w).T @ d @ (t - x @ w) + penalties.tie * off.T @ off
        near(experts.covariance, (scatter + penalties.sphere) / (weight.sum() + 1))
        near(experts.inverses[0], np.linalg.inv(left))

    def test_the_spread_of_a_mean_is_that_of_its_experts(self):
        x, t, weight, start, penalties = problem()
        experts, _ = fit_experts(x, t, weight, start, penalties, steps=4)
        mean, wider = experts.predict(x[:6])
        for row, m, wide in zip(x[:6], mean, wider, strict=True):
            shares = softmax(experts.gate @ row)
            images = np.array([row @ w for w in experts.maps])
            near(m, shares @ images)
            apart = [np.linalg.solve(experts.covariance, o) @ o / D for o in images - m]
            unsure = [row @ inverse @ row for inverse in experts.inverses]
            near(wide, shares @ (np.array(apart) + unsure))


class TestWorlds:
    def test_two_kinds_of_people_get_their_own_maps(self):
        """One map explains half of it. Near the border of the kinds no gate can tell them."""
        source, target = draw(3000)
        new, truth = draw(500, 1, noise=0.0)
        adapters = MixtureAdapter(tie=20.0, normalize=False), RidgeAdapter(normalize=False)
        errors = [
            np.mean((adapter.fit(source, target).predict(new).mean - truth) ** 2)
            for adapter in adapters
        ]
        assert errors[0] < 0.1 * errors[1]

    def test_a_row_between_the_kinds_is_less_certain(self):
        source, target = draw(3000)
        adapter = MixtureAdapter(tie=20.0, normalize=False).fit(source, target)
        new = np.array([[0.0, 1, 1, 1, 1], [2.0, 0, 0, 0, 0]])  # of one length
        between, inside = 1 / adapter._mixture.predict(new)[1]
        assert between < 0.5 * inside

    def test_few_anchors_fall_back_to_one_map(self):
        new = draw(50, 1)[0]
        source, target = draw(30)
        ours = MixtureAdapter(normalize=False).fit(source, target).predict(new).mean
        one = RidgeAdapter(normalize=False).fit(source, target).predict(new).mean
        assert np.linalg.norm(ours - one) < 0.05 * np.linalg.norm(one)
        adapter = MixtureAdapter(normalize=False, ridge=1e-3).fit(*draw(6000))
        assert np.linalg.norm(np.diff(adapter.experts_.maps, axis=0)) > 1.0

    def test_where_there_is_one_map_nothing_is_lost(self):
        rng = np.random.default_rng(3)
        source = rng.normal(size=(900, D_SOURCE))
        truth = source @ rng.normal(size=(D_SOURCE, D))
        target = truth[:600] + 0.5 * rng.normal(size=(600, D))
        errors = [
            np.mean(
                (adapter.fit(source[:600], target).predict(source[600:]).mean - truth[600:]) ** 2
            )
            for adapter in (MixtureAdapter(), RidgeAdapter())
        ]
        assert errors[0] < 1.2 * errors[1]

    @pytest.mark.parametrize("tie", [20.0, 1000.0])
    def test_errors_are_as_large_as_stated(self, tie):
        source, target = draw(2600)
        prior = MixtureAdapter(tie=tie).fit(source[:600], target[:600]).predict(source[600:])
        made = np.sum((target[600:] - prior.mean) ** 2, axis=1).mean()
        stated = np.linalg.inv(prior.matrices()).trace(axis1=1, axis2=2).mean()
        assert made == pytest.approx(stated, rel=0.15)  # 600 anchors tell a variance to 4%

    def test_the_mean_of_all_rows_moves_the_null_mean(self):
        source, target = draw()
        m0 = np.array([5.0, -5.0, 1.0])
        told = MixtureAdapter().fit(source, target, context=AnchorContext(mean=m0))
        plain = MixtureAdapter().fit(source, target)
        b = (64 * m0 + N * target.mean(axis=0)) / (64 + N)
        near(told.origin_, b)
        moved = told.predict(source).mean - plain.predict(source).mean
        near(moved, np.tile(b - target.mean(axis=0), (N, 1)))


class TestRepeating:
    def test_the_order_of_the_anchors_changes_no_bit(self):
        source, target = draw()
        order = np.random.default_rng(1).permutation(N)
        ours = MixtureAdapter(3, tie=5.0).fit(source, target)
        other = MixtureAdapter(3, tie=5.0).fit(source[order], target[order])
        assert np.array_equal(ours.predict(source).mean, other.predict(source).mean)
        assert np.array_equal(ours.log_likelihood_, other.log_likelihood_)

    def test_the_likelihood_of_the_adapter_never_falls(self):
        trace = MixtureAdapter(3, tie=5.0).fit(*draw(600)).log_likelihood_
        assert len(trace) > 2
        assert (np.diff(trace) > -1e-9 * np.abs(trace[1:])).all()


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"components": 0}, "components must be a whole number from 1, got 0"),
            ({"components": "auto"}, "components must be a whole number from 1, got 'auto'"),
            ({"ridge": 0.0}, 'ridge must be "gcv" or a positive number, got 0.0'),
            ({"normalize": "no"}, "normalize must be True, False or \"auto\", got 'no'"),
            ({"tie": 0.0}, "tie must be positive, got 0.0"),
            ({"pseudo_anchors": -1.0}, "pseudo_anchors must not be negative, got -1.0"),
        ],
    )
    def test_others_are_refused_when_it_is_fitted(self, settings, message):
        with pytest.raises(ValueError, match=re.escape(message)):
            MixtureAdapter(**settings).fit(*draw())

    def test_candidates_leave_nothing_open(self):
        for option in MixtureAdapter(3).candidates():
            assert option.components == 3
            assert option.normalize in (True, False)
            assert option.ridge > 0

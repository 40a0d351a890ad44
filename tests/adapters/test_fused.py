"""FusedAdapter against the exact covariance intersection of its adapters' priors.

Where nothing else is said, the two sides are the same numbers computed in two ways, in float64:
they agree to 1e-8.
"""

import numpy as np
import pytest
import scipy.sparse as sp

from coldstart.adapters import (
    AnchorContext,
    CanonicalAdapter,
    FusedAdapter,
    IdentityAdapter,
    MeanAdapter,
    NeighbourAdapter,
    RidgeAdapter,
)
from coldstart.adapters.fused import fuse_evenly
from coldstart.prior import Prior

N, D_SOURCE, D = 300, 8, 5


def near(actual, expected, rtol=1e-8):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def draw(n=N, seed=0):
    """A map that is linear in part, with noise that is larger in some directions."""
    rng, known = np.random.default_rng(seed), np.random.default_rng(9)
    source = rng.normal(size=(n, D_SOURCE)) * np.linspace(2, 0.5, D_SOURCE)
    bent = np.tanh(source @ known.normal(size=(D_SOURCE, D)))
    noise = rng.normal(size=(n, D)) * np.geomspace(0.3, 3, D)
    return source, 1.0 + source @ known.normal(size=(D_SOURCE, D)) * 0.4 + 2 * bent + noise


def exact(priors):
    """P^-1 and m of every row by dense algebra."""
    matrices = np.mean([prior.matrices() for prior in priors], axis=0)
    pulls = [np.einsum("nij,nj->ni", prior.matrices(), prior.mean) for prior in priors]
    return np.linalg.solve(matrices, np.mean(pulls, axis=0)[..., None])[..., 0], matrices


def away(mean, other, matrices):
    """Mean squared Mahalanobis distance per dimension."""
    off = mean - other
    return np.mean(np.einsum("ni,nij,nj->n", off, matrices, off)) / off.shape[1]


FAMILIES = {
    "ridge and neighbours": (RidgeAdapter(), NeighbourAdapter()),
    "ridge and few directions": (RidgeAdapter(), CanonicalAdapter()),
    "ridge and the mean": (RidgeAdapter(), MeanAdapter()),
    "three": (RidgeAdapter(), NeighbourAdapter(), CanonicalAdapter()),
}


class TestApproximation:
    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize("n", [40, N])
    def test_it_is_close_to_the_exact_intersection(self, family, n):
        """Ten times closer to it than the adapters' own priors are. The variance is never smaller,
        and at most 12% larger: the trace of a mean of precisions, inverted, is concave.
        """
        source, target = draw(n)
        adapter = FusedAdapter(FAMILIES[family]).fit(source, target)
        new = draw(200, seed=1)[0]
        prior = adapter.predict(new)
        priors = [part.predict(new) for part in adapter.adapters_]
        mean, matrices = exact(priors)
        apart = np.mean([away(part.mean, mean, matrices) for part in priors])
        assert away(prior.mean, mean, matrices) < 0.1 * apart
        traces = [
            np.trace(np.linalg.inv(p), axis1=1, axis2=2) for p in (prior.matrices(), matrices)
        ]
        ratio = traces[0] / traces[1]
        assert 1 - 1e-9 < ratio.min() <= ratio.max() < 1.12

    def test_it_is_exact_where_the_shapes_are_one(self):
        rng = np.random.default_rng(0)
        shape = np.cov(rng.normal(size=(D, 20)))
        priors = [Prior(rng.normal(size=(6, D)), rng.uniform(1, 9, 6), shared=shape) for _ in "abc"]
        prior, (mean, matrices) = fuse_evenly(priors), exact(priors)
        near(prior.mean, mean)
        near(prior.matrices(), matrices)

    def test_it_is_exact_where_no_prior_has_one(self):
        rng = np.random.default_rng(0)
        means = rng.normal(size=(3, 6, D))
        precisions = (2.0, rng.uniform(1, 9, 6), rng.uniform(1, 9, (6, D)))
        priors = [Prior(*part) for part in zip(means, precisions, strict=True)]
        prior, (mean, matrices) = fuse_evenly(priors), exact(priors)
        near(prior.mean, mean)
        near(prior.matrices(), matrices)

    def test_what_two_adapters_agree_on_is_not_counted_twice(self):
        source, target = draw()
        alone = RidgeAdapter().fit(source, target).predict(source)
        for count in (2, 3, 4):
            prior = FusedAdapter([RidgeAdapter()] * count).fit(source, target).predict(source)
            near(prior.mean, alone.mean)
            near(prior.matrices(), alone.matrices())
            near(prior.origin, alone.origin)

    def test_a_mean_has_less_error_than_the_average_of_its_parts(self):
        source, target = draw()
        new, truth = draw(2000, seed=1)
        adapter = FusedAdapter([RidgeAdapter(), NeighbourAdapter()]).fit(source, target)
        errors = [
            np.mean((truth - one.predict(new).mean) ** 2) for one in (adapter, *adapter.adapters_)
        ]
        assert errors[0] < 0.98 * np.mean(errors[1:])


class TestRowsThatAPriorKnowsNothingOf:
    def test_are_left_to_the_others(self):
        shape = np.eye(D) + 0.1
        ours = Prior(np.ones((3, D)), np.array([0.0, 4.0, 0.0]), shared=shape)
        theirs = Prior(np.full((3, D), 5.0), np.array([2.0, 4.0, 0.0]), shared=shape)
        prior = fuse_evenly([ours, theirs])
        near(prior.mean[:2], [[5.0] * D, [3.0] * D])
        near(prior.matrices(), np.array([1.0, 4.0, 0.0])[:, None, None] * shape)

    def test_so_are_those_of_which_it_does_not_know_a_dimension(self):
        partly = np.ones((2, D))
        partly[1, 2] = 0
        prior = fuse_evenly(
            [Prior(np.zeros((2, D)), partly), Prior(np.ones((2, D)), shared=np.eye(D))]
        )
        near(prior.mean, [[0.5] * D, [1.0] * D])


class TestAdapters:
    def test_they_are_fitted_as_copies_and_told_everything(self):
        source, target = draw()
        mine = RidgeAdapter(0.3, normalize=False)
        context = AnchorContext(mean=np.arange(5.0))
        weight = np.linspace(0.5, 2, N)
        adapter = FusedAdapter([mine, MeanAdapter()])
        adapter.fit(source, target, weight=weight, context=context)
        assert not hasattr(mine, "coef_")
        twin = RidgeAdapter(0.3, normalize=False)
        twin.fit(source, target, weight=weight, context=context)
        assert np.array_equal(adapter.adapters_[0].coef_, twin.coef_)

    def test_at_prediction_they_are_told_of_the_new_rows(self):
        source, target = draw()
        rows = sp.random(N, 60, density=0.2, format="csr", random_state=1)
        adapter = FusedAdapter()
        adapter.fit(source, target, context=AnchorContext(source_rows=rows))
        told = AnchorContext(source_rows=rows[:4])
        prior = adapter.predict(source[:4], context=told)
        parts = [part.predict(source[:4], context=told) for part in adapter.adapters_]
        near(prior.mean, fuse_evenly(parts).mean)

    def test_the_origin_is_the_mean_of_theirs(self):
        source, target = draw()
        adapter = FusedAdapter([RidgeAdapter(), MeanAdapter()])
        adapter.fit(source, target, context=AnchorContext(mean=np.zeros(D)))
        origins = [part.predict(source).origin for part in adapter.adapters_]
        near(adapter.predict(source).origin, np.mean(origins, axis=0))

    @pytest.mark.parametrize("few", [[], [RidgeAdapter()]])
    def test_fewer_than_two_are_refused(self, few):
        with pytest.raises(ValueError, match=f"FusedAdapter needs at least 2 .*, got {len(few)}"):
            FusedAdapter(few).fit(*draw())

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            (["ridge", "mean"], r"adapters\[0\] of FusedAdapter must be .*, got 'ridge': pass one"),
            ([MeanAdapter(), RidgeAdapter], r"adapters\[1\] of FusedAdapter must be an object"),
            ("ridge", "FusedAdapter takes a sequence of adapters, got 'ridge': pass some"),
            (MeanAdapter(), "FusedAdapter takes a sequence of adapters, got MeanAdapter"),
        ],
    )
    def test_names_and_classes_are_refused(self, parts, message):
        with pytest.raises(TypeError, match=message):
            FusedAdapter(parts).fit(*draw())

    def test_a_part_in_one_space_speaks_for_all(self):
        assert FusedAdapter([IdentityAdapter(), MeanAdapter()]).one_space
        assert not FusedAdapter().one_space

"""Where the stated model drew the arrays, as many people lie inside an ellipsoid as it says.

Maps and noise are those that `RidgeAdapter` states. The other adapters state other models, of which
this one is an example or the limit of many anchors.

5,000 held-out rows in all, from several worlds where there are few anchors: the size of residuals
is itself known to a tenth only from 30 anchors in 4 dimensions.
"""

import numpy as np
import pytest
from scipy.stats import chi2

from coldstart.adapters import (
    AnchorContext,
    CanonicalAdapter,
    FusedAdapter,
    KernelAdapter,
    MeanAdapter,
    MixtureAdapter,
    NeighbourAdapter,
    ProcrustesAdapter,
    RegressorAdapter,
    RidgeAdapter,
    TaskAdapter,
)

D_SOURCE, RIDGE, N0, HELD = 6, 0.3, 64.0, 5000
LEVELS = (0.5, 0.8, 0.95)
WORLDS = {30: 50, 300: 10, 3000: 2}
WITHIN = 0.03  # of people; 5000 of them are counted to 0.007
OTHERS = {
    "canonical": CanonicalAdapter(normalize=False),
    "fused": FusedAdapter([RidgeAdapter(normalize=False), KernelAdapter("linear")]),
    "kernel": KernelAdapter(),
    "mean": MeanAdapter(),
    "mixture": MixtureAdapter(normalize=False),
    "neighbour": NeighbourAdapter(),
    "procrustes": ProcrustesAdapter(normalize=False),
    "regressor": RegressorAdapter(),
    "task": TaskAdapter(normalize=False),
}


def draw(n, m, d, *, seed, steep=1.0):
    """Anchors, m held-out rows and m0, with the map and the intercept drawn from their prior.

    Noise has the covariance Psi, W rows of N(0, Psi / rho), and the intercept is N(m0, Psi / n0).
    """
    rng = np.random.default_rng(seed)
    root = np.linspace(steep, 1 / steep, d)[:, None] * np.linalg.qr(rng.normal(size=(d, d)))[0]
    source = rng.normal(size=(n + m, D_SOURCE)) * rng.uniform(0.5, 2, D_SOURCE) + 1.0
    rows = source - source[:n].mean(axis=0)
    rho = RIDGE * np.mean(np.sum(rows[:n] ** 2, axis=0))
    weights = rng.normal(size=(D_SOURCE, d)) @ root / np.sqrt(rho)
    m0 = rng.normal(size=d)
    intercept = m0 + rng.normal(size=d) @ root / np.sqrt(N0)
    target = intercept + rows @ weights + rng.normal(size=(n + m, d)) @ root
    return source[:n], target[:n], source[n:], target[n:], m0


def distances(prior, target):
    """Squared Mahalanobis distances (m,)."""
    away = target - prior.mean
    return np.einsum("ni,nij,nj->n", away, prior.matrices(), away)


def covered(adapter, n, d, *, known=True, **shape):
    """Share of held-out rows inside the ellipsoid of each of `LEVELS`; the adapter is told m0 or
    not.
    """
    found = []
    for seed in range(WORLDS[n]):
        source, target, new, truth, m0 = draw(n, HELD // WORLDS[n], d, seed=seed, **shape)
        adapter.fit(source, target, context=AnchorContext(mean=m0 if known else None))
        found.append(distances(adapter.predict(new), truth))
    inside = np.concatenate(found)[:, None] <= chi2.ppf(LEVELS, d)
    return inside.mean(axis=0)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("d", [4, 20])
@pytest.mark.parametrize("n", sorted(WORLDS))
@pytest.mark.parametrize("ridge", [RIDGE, "gcv"])
def test_ellipsoids_of_the_ridge_map_hold_the_people_they_say(ridge, n, d, known):
    adapter = RidgeAdapter(ridge, normalize=False, pseudo_anchors=N0)
    shares = covered(adapter, n, d, known=known)
    np.testing.assert_allclose(shares, LEVELS, rtol=0, atol=WITHIN)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("d", [4, 20])
@pytest.mark.parametrize("name", OTHERS)
def test_those_of_the_other_adapters_nearly_do(name, d, known):
    """Theirs come from residuals of maps that four fifths of the anchors made: 0.033 at most."""
    shares = covered(OTHERS[name], 300, d, known=known)
    np.testing.assert_allclose(shares, LEVELS, rtol=0, atol=0.04)


@pytest.mark.parametrize("name", sorted(set(OTHERS) - {"kernel"}))
def test_with_many_anchors_they_do(name):
    shares = covered(OTHERS[name], 3000, 20)
    np.testing.assert_allclose(shares, LEVELS, rtol=0, atol=WITHIN)


@pytest.mark.parametrize("name", OTHERS)
def test_with_30_anchors_they_are_a_little_too_sure(name):
    """As they are measured: where residuals are few, what is said is a t and no Gaussian."""
    shares = covered(OTHERS[name], 30, 20)
    np.testing.assert_allclose(shares, LEVELS, rtol=0, atol=0.065)


@pytest.mark.parametrize("n", [300, 3000])
def test_they_do_where_noise_is_larger_in_some_directions(n):
    """With 30 anchors it cannot: their residuals do not show twenty variances."""
    shares = covered(RidgeAdapter(RIDGE, normalize=False, pseudo_anchors=N0), n, 20, steep=3.0)
    np.testing.assert_allclose(shares, LEVELS, rtol=0, atol=WITHIN)


def test_more_dimensions_than_anchors_are_no_reason_to_be_sure():
    """48 dimensions from 30 anchors: with the scatter of the residuals alone, nobody is inside."""
    shares = covered(RidgeAdapter(RIDGE, normalize=False, pseudo_anchors=N0), 30, 48)
    np.testing.assert_allclose(shares, LEVELS, rtol=0, atol=WITHIN)

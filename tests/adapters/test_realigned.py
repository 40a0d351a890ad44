"""How sure a map without anchors is: as residuals it has not seen say, and as its alignments agree.

Arrays are drawn from the model: people in groups, nobody in both catalogs, one catalog turned.
"""

import numpy as np
import pytest
from scipy.stats import chi2

from coldstart.adapters import TransportAdapter
from coldstart.adapters.base import AnchorContext
from coldstart.adapters.linear import RidgeAdapter
from coldstart.adapters.realigned import FOLDS, Realigned
from coldstart.errors import AlignmentError

GROUPS, D_SOURCE, D_TARGET = 12, 6, 8


class Model:
    """Draws rows of the source, and what they are in the target."""

    def __init__(self, seed, noise):
        self.rng, self.noise = np.random.default_rng(seed), noise
        centres = self.rng.normal(size=(GROUPS, D_SOURCE))
        self.centres = centres / np.linalg.norm(centres, axis=1, keepdims=True)
        self.share = self.rng.dirichlet(np.full(GROUPS, 5.0))
        square = self.rng.normal(size=(D_TARGET, D_SOURCE))
        self.rotation = np.linalg.qr(square)[0].T

    def people(self, n):
        rows = self.centres[self.rng.choice(GROUPS, size=n, p=self.share)]
        rows = rows + 0.15 * self.rng.normal(size=rows.shape)
        return rows * self.rng.lognormal(sigma=0.3, size=(n, 1))

    def told(self, people):
        noise = self.noise * self.rng.normal(size=(len(people), D_TARGET))
        return 1 + 2 * people @ self.rotation + noise


def inside(prior, rows, level):
    """Share of `rows` (n, d) within the ellipsoids of that level."""
    precisions = prior.matrices()
    off = rows - prior.mean
    distance = np.einsum("ni,nij,nj->n", off, precisions, off)
    return np.mean(distance <= chi2.ppf(level, prior.width))


def fitted(seed, noise):
    pytest.importorskip("ot", reason="needs the library POT")
    model = Model(seed, noise)
    source, target = model.people(300), model.told(model.people(260))
    adapter = TransportAdapter(40, starts=10, permutations=0).fit(source, target)
    new = model.people(500)
    return adapter.predict(new), model.told(new)


@pytest.mark.parametrize("noise", [0.02, 0.2, 0.5])
def test_ellipsoids_hold_about_as_many_new_people_as_they_say(noise):
    """Four draws: 97, 95 and 90% of people within 95%, where residuals of the pairs alone gave 95,
    92 and 29%; alignments part at the largest noise. The worst draw had 78%.
    """
    shares = [inside(*fitted(seed, noise), 0.95) for seed in range(4)]
    assert np.mean(shares) > 0.88
    assert min(shares) > 0.7


@pytest.fixture(scope="module")
def rows():
    model = Model(0, 0.2)
    return model.people(150), model.told(model.people(120)), model


def realigned(rows, search):
    source, target, model = rows
    whole = RidgeAdapter(1.0).fit(source, model.told(source))
    found = Realigned.of(
        (source, target),
        np.ones(len(source)),
        whole,
        search,
        1.0,
        AnchorContext(),
    )
    return found, whole


def test_an_alignment_is_asked_for_without_a_fifth_of_either_side(rows):
    asked = []

    def search(source, mass, target):
        asked.append((len(source), len(mass), len(target)))
        return rows[2].rotation

    found, _ = realigned(rows, search)
    assert asked == [(120, 120, 96)] * FOLDS
    assert len(found.maps) == FOLDS


def test_alignments_that_part_make_it_unsure_and_those_that_agree_do_not(rows):
    rng = np.random.default_rng(0)

    def anywhere(*_):
        return np.linalg.qr(rng.normal(size=(D_TARGET, D_SOURCE)))[0].T

    agreed, _ = realigned(rows, lambda *_: rows[2].rotation)
    parted, _ = realigned(rows, anywhere)
    assert np.trace(agreed.moved) < 0.5 * np.trace(agreed.residual)
    assert np.trace(parted.moved) > 4 * np.trace(agreed.moved)


def test_the_covariance_is_that_of_the_formula(rows):
    found, whole = realigned(rows, lambda *_: rows[2].rotation)
    new = rows[2].people(9)
    said = whole.predict(new)
    prior = found.prior(said, new)
    assert np.array_equal(prior.mean, said.mean)
    assert np.array_equal(prior.origin, said.origin)
    leverage = 1 / np.asarray(said.precision, float) - 1
    off = [np.sum((one.predict(new).mean - said.mean) ** 2, axis=1) for one in found.maps]
    total = found.residual + found.moved
    size = ((1 + leverage) * np.trace(found.residual) + np.mean(off, axis=0)) / np.trace(total)
    # float64 throughout, conditions below 1e3
    np.testing.assert_allclose(
        np.linalg.inv(prior.matrices()), size[:, None, None] * total, rtol=1e-8, atol=1e-10
    )


def test_noise_of_the_target_is_in_the_residuals(rows):
    source, _, model = rows
    exact = Model(0, 0.0)
    exact.rotation = model.rotation
    near, _ = realigned((source, exact.told(source), exact), lambda *_: model.rotation)
    far, _ = realigned(rows, lambda *_: model.rotation)
    assert np.trace(near.residual) < np.trace(far.residual)


def test_where_no_part_can_be_aligned_the_map_is_as_sure_as_it_says(rows):
    def refused(*_):
        raise AlignmentError("no pairs")

    found, whole = realigned(rows, refused)
    said = whole.predict(rows[0])
    assert found.maps == ()
    np.testing.assert_allclose(
        found.prior(said, rows[0]).matrices(), said.matrices(), rtol=1e-8, atol=1e-10
    )

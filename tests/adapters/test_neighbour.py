"""NeighbourAdapter against its equation in plain loops, scikit-learn, and what it must keep.

Where nothing else is said, the two sides are the same numbers computed in two ways, in float64:
they agree to 1e-9.
"""

import itertools
import re

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.neighbors import NearestNeighbors

from coldstart.adapters import AnchorContext, NeighbourAdapter, neighbour
from coldstart.adapters.spread import Spread

N, D_SOURCE, D, COLUMNS = 60, 6, 4, 25


def draw(n=N, seed=0):
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(n, D_SOURCE)) + 0.5
    weights = np.random.default_rng(9).normal(size=(D_SOURCE, D))
    return source, np.tanh(source @ weights) + 0.3 * rng.normal(size=(n, D))


def draw_rows(n=N, seed=0):
    return sp.random(n, COLUMNS, density=0.3, format="csr", random_state=seed)


def near(actual, expected, rtol=1e-9):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def unit(rows):
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


class Plain:
    """The docstring in loops over rows; `rows` (n, columns) is what is compared."""

    def __init__(self, rows, target, k, *, m0=None, h=5.0, n0=64.0):
        self.rows, self.target, self.k, self.h = unit(rows), target, k, h
        own = target.mean(axis=0)
        self.b = (n0 * (own if m0 is None else m0) + len(rows) * own) / (n0 + len(rows))
        found = [self.nearest(row, [i]) for i, row in enumerate(self.rows)]
        self.c0 = np.mean([c for _, c in itertools.chain(*found)])
        self.away = np.array(
            [
                (t - mean) / np.sqrt(1 + squares)
                for t, (mean, squares) in zip(target, map(self.average, found), strict=True)
            ]
        )

    def nearest(self, row, without=()):
        similar = [(i, self.rows[i] @ row) for i in range(len(self.rows)) if i not in without]
        ranked = sorted(similar, key=lambda pair: -pair[1])[: self.k]
        return [(i, c) for i, c in ranked if c > 0]

    def average(self, found):
        cs = np.array([self.h * self.c0, *(c for _, c in found)])
        ts = np.array([self.b, *(self.target[i] for i, _ in found)])
        return cs @ ts / cs.sum(), np.sum(cs**2) / cs.sum() ** 2

    def predict(self, rows):
        both = [self.average(self.nearest(row)) for row in unit(rows)]
        return np.array([mean for mean, _ in both]), np.array([squares for _, squares in both])


class TestEquation:
    @pytest.mark.parametrize("k", [1, 7, 59, 500])
    @pytest.mark.parametrize("h", [0.5, 20.0])
    def test_means_and_covariances_are_those_of_loops_over_rows(self, k, h):
        (source, target), new = draw(), draw(9, 1)[0]
        m0 = np.arange(4.0)
        adapter = NeighbourAdapter(k, pseudo=h).fit(source, target, context=AnchorContext(mean=m0))
        plain = Plain(source, target, k, m0=m0, h=h)
        mean, squares = plain.predict(new)
        prior = adapter.predict(new)
        near(prior.mean, mean)
        spread = Spread.of(plain.away, np.ones(N), source, None)
        near(
            prior.matrices(),
            spread.prior(mean, new, None, origin=plain.b, leverage=squares).matrices(),
        )

    @pytest.mark.parametrize("idf", [False, True])
    def test_interactions_are_compared_where_they_are_asked_for(self, idf):
        (source, target), rows, new = draw(), draw_rows(), draw_rows(9, 1)
        weights = np.log1p(N / np.maximum((rows > 0).sum(axis=0), 1)) if idf else np.ones(COLUMNS)
        weights = np.asarray(weights).reshape(-1)
        adapter = NeighbourAdapter(8, rows="interactions", idf=idf)
        adapter.fit(source, target, context=AnchorContext(source_rows=rows))
        prior = adapter.predict(draw(9, 1)[0], context=AnchorContext(source_rows=new))
        plain = Plain(rows.toarray() * weights, target, 8)
        near(prior.mean, plain.predict(new.toarray() * weights)[0])

    def test_neighbours_are_those_of_scikit_learn(self):
        (source, target), new = draw(), draw(9, 1)[0]
        theirs = NearestNeighbors(n_neighbors=6, metric="cosine").fit(source)
        distances, rows = theirs.kneighbors(new)
        shares = 1 - distances
        assert shares.min() > 0
        mean = (shares[:, :, None] * target[rows]).sum(axis=1) / shares.sum(axis=1, keepdims=True)
        near(NeighbourAdapter(6, pseudo=0.0).fit(source, target).predict(new).mean, mean, rtol=1e-7)

    def test_it_is_the_same_in_small_blocks(self, monkeypatch):
        (source, target), new = draw(), draw(9, 1)[0]
        whole = NeighbourAdapter().fit(source, target).predict(new)
        monkeypatch.setattr(neighbour, "SIMILARITIES_AT_ONCE", 2 * N)
        parts = NeighbourAdapter().fit(source, target).predict(new)
        near(parts.mean, whole.mean)
        near(parts.precision, whole.precision)


class TestShrinking:
    def test_a_row_unlike_all_anchors_has_the_null_mean(self):
        source, target = draw()
        source = np.abs(source)
        m0 = np.array([5.0, -5.0, 0.0, 2.0])
        adapter = NeighbourAdapter().fit(source, target, context=AnchorContext(mean=m0))
        prior = adapter.predict(np.vstack([-source[:1], np.zeros(D_SOURCE), source[1]]))
        near(prior.mean[:2], np.tile((64 * m0 + N * target.mean(axis=0)) / (64 + N), (2, 1)))
        assert prior.precision[0] < prior.precision[2]
        near(prior.origin, adapter.origin_)

    def test_more_pseudo_neighbours_move_it_there(self):
        source, target = draw()
        fits = [NeighbourAdapter(pseudo=h).fit(source, target) for h in (0, 1, 10, 1000)]
        away = [np.linalg.norm(fit.predict(source).mean - fit.origin_) for fit in fits]
        assert (np.diff(away) < 0).all()
        assert away[-1] < 0.1 * away[0]


class TestChoice:
    def world(self, kind):
        """Targets that follow from the rows of one kind, noise in the other."""
        rng = np.random.default_rng(4)
        groups = rng.integers(0, 5, 300)
        centres, targets = rng.normal(size=(5, D_SOURCE)), rng.normal(size=(5, D))
        told = {kind: groups, "noise": rng.permutation(groups)}
        by_source = told.get("embeddings", told["noise"])
        by_rows = told.get("interactions", told["noise"])
        source = centres[by_source] + 0.2 * rng.normal(size=(300, D_SOURCE))
        rows = sp.csr_matrix(
            rng.random((300, 40)) < 0.1 + 0.5 * (np.arange(40) % 5 == by_rows[:, None])
        )
        return source, targets[groups] + 0.2 * rng.normal(size=(300, D)), rows.astype(np.float32)

    @pytest.mark.parametrize("kind", ["embeddings", "interactions"])
    def test_rows_that_tell_of_the_target_are_compared(self, kind):
        source, target, rows = self.world(kind)
        adapter = NeighbourAdapter().fit(source, target, context=AnchorContext(source_rows=rows))
        assert adapter.rows_ == kind
        assert adapter.k_ in (20, 50)  # 60 to a group

    def test_errors_count_in_scores_where_the_other_side_is_known(self):
        source, target, _ = self.world("embeddings")
        target[:, 0] = 30 * np.random.default_rng(1).normal(size=300)  # as noisy as can be
        plain = NeighbourAdapter().fit(source, target)
        other = np.diag([1e-3, 1.0, 1.0, 1.0])
        told = NeighbourAdapter().fit(source, target, context=AnchorContext(other_factors=other))
        assert plain.k_ == 200
        assert told.k_ < 200

    def test_without_interactions_embeddings_are_compared(self):
        (source, target), new = draw(), draw(9, 1)[0]
        expected = NeighbourAdapter(7, rows="embeddings").fit(source, target).predict(new)
        asked = NeighbourAdapter(7, rows="interactions").fit(source, target)
        near(asked.predict(new).mean, expected.mean)
        told = NeighbourAdapter(7, rows="interactions")
        told.fit(source, target, context=AnchorContext(source_rows=draw_rows()))
        near(told.predict(new).mean, expected.mean)

    def test_candidates_leave_nothing_open(self):
        options = NeighbourAdapter().candidates()
        assert {(option.rows, option.k) for option in options} == {
            (kind, k) for kind in ("embeddings", "interactions") for k in (20, 50, 100, 200)
        }


class TestAnchors:
    def test_nobody_is_his_own_neighbour_nor_is_his_twin(self):
        source, target = draw()
        twice = [np.concatenate([array, array]) for array in (source, target)]
        once = NeighbourAdapter(5).fit(source, target, weight=np.full(N, 2.0))
        both = NeighbourAdapter(5).fit(*twice)
        near(both.spread_.covariance, once.spread_.covariance)
        noise = np.random.default_rng(2).normal(size=target.shape)
        own = NeighbourAdapter(1, pseudo=0.0).fit(source, noise)
        assert np.trace(own.spread_.covariance) > 0.7 * D  # of its own noise it sees nothing

    def test_their_order_changes_no_bit(self):
        (source, target), rows, new = draw(), draw_rows(), draw(9, 1)[0]
        told = AnchorContext(source_rows=draw_rows(9, 1))
        order = np.random.default_rng(1).permutation(N)
        first = NeighbourAdapter().fit(source, target, context=AnchorContext(source_rows=rows))
        other = NeighbourAdapter().fit(
            source[order], target[order], context=AnchorContext(source_rows=rows[order])
        )
        for context in (None, told):
            ours, theirs = (fit.predict(new, context=context) for fit in (first, other))
            assert np.array_equal(ours.mean, theirs.mean)
            assert np.array_equal(ours.matrices(), theirs.matrices())

    def test_errors_are_as_large_as_stated(self):
        """2000 squared errors are known to 3%; neighbours of some stand beside several of them."""
        source, target = draw(3000)
        prior = NeighbourAdapter().fit(source[:1000], target[:1000]).predict(source[1000:])
        made = np.sum((target[1000:] - prior.mean) ** 2, axis=1).mean()
        stated = np.linalg.inv(prior.matrices()).trace(axis1=1, axis2=2).mean()
        assert made == pytest.approx(stated, rel=0.1)


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"k": 0}, 'k must be "auto" or a whole number from 1, got 0'),
            ({"k": 2.5}, 'k must be "auto" or a whole number from 1, got 2.5'),
            ({"k": "all"}, "k must be \"auto\" or a whole number from 1, got 'all'"),
            ({"rows": "raw"}, '"interactions" or "auto", got \'raw\''),
            ({"pseudo": -1.0}, "pseudo must not be negative, got -1.0"),
            ({"pseudo_anchors": np.nan}, "pseudo_anchors must not be negative, got nan"),
        ],
    )
    def test_others_are_refused_when_it_is_fitted(self, settings, message):
        adapter = NeighbourAdapter(**settings)
        with pytest.raises(ValueError, match=re.escape(message)):
            adapter.fit(*draw())

    def test_rows_of_other_columns_are_refused(self):
        context = AnchorContext(source_rows=draw_rows())
        adapter = NeighbourAdapter(5, rows="interactions").fit(*draw(), context=context)
        message = r"context.source_rows must be \(9, 25\), .* got an array of shape \(9, 24\)"
        with pytest.raises(ValueError, match=message):
            adapter.predict(draw(9)[0], context=AnchorContext(source_rows=draw_rows(9)[:, :24]))

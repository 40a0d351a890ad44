"""KernelAdapter against dense Gaussian processes, RidgeAdapter, scikit-learn and brute force.

Where nothing else is said, the two sides are the same numbers computed in two ways, in float64:
they agree to 1e-7, eigenvalues of a kernel below 1e-10 of the largest being left out.
"""

import re

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_ridge import KernelRidge

from coldstart.adapters import AnchorContext, KernelAdapter, RidgeAdapter
from coldstart.adapters.nystroem import FeatureProblem, Landmarks
from coldstart.adapters.source_rows import SourceRows

N, D_SOURCE, D, COLUMNS = 50, 6, 4, 90


def draw(n=N, seed=0, noise=0.3):
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(n, D_SOURCE)) + 0.5
    weights = np.random.default_rng(9).normal(size=(D_SOURCE, D))
    return source, np.tanh(source @ weights) + noise * rng.normal(size=(n, D))


def draw_rows(n=N, seed=0):
    return sp.random(n, COLUMNS, density=0.2, format="csr", random_state=seed)


def near(actual, expected, rtol=1e-7):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Dense:
    """The docstring with whole matrices: the process on n anchors, its kernel centred on them."""

    def __init__(self, kernel, rows, target, weight, ridge, *, m0, n0=64.0):
        self.rows, self.weight, self.n = rows, weight, weight.sum()
        distances = ((rows[:, None] - rows) ** 2).sum(axis=2)
        median = np.median(distances[distances > 0])
        self.kernel = {
            "linear": lambda a, b: a @ b.T,
            "rbf": lambda a, b: np.exp(-((a[:, None] - b) ** 2).sum(axis=2) / (2 * median)),
        }[kernel]
        mean = np.average(target, axis=0, weights=weight)
        self.b, self.least = (n0 * m0 + self.n * mean) / (n0 + self.n), 1 / (n0 + self.n)
        values = self.centred(rows, rows)
        self.rho = ridge * np.average(np.diag(values), weights=weight)
        self.a = np.linalg.inv(values + self.rho * np.diag(1 / weight))
        self.away = target - mean

    def centred(self, a, b):
        w, k = self.weight / self.n, self.kernel
        own = w @ k(self.rows, self.rows) @ w
        return k(a, b) - (k(a, self.rows) @ w)[:, None] - w @ k(self.rows, b) + own

    def predict(self, rows):
        """Means (m, d) and l (m,)."""
        values = self.centred(rows, self.rows)
        variance = np.diag(self.centred(rows, rows)) - np.sum(values @ self.a * values, axis=1)
        return self.b + values @ self.a @ self.away, self.least + variance / self.rho


class TestEquation:
    @pytest.mark.parametrize("kernel", ["linear", "rbf"])
    @pytest.mark.parametrize("normalize", [False, True])
    @pytest.mark.parametrize("kind", ["embeddings", "interactions"])
    def test_means_and_variances_are_those_of_the_dense_process(self, kernel, normalize, kind):
        (source, target), new = draw(), draw(9, 1)[0]
        rows, new_rows = draw_rows(), draw_rows(9, 1)
        weight, m0 = np.linspace(0.3, 2, N), np.array([1.0, -2.0, 0.5, 3.0])
        adapter = KernelAdapter(kernel, rows=kind, normalize=normalize, ridge=0.7)
        context = AnchorContext(source_rows=rows, mean=m0)
        prior = adapter.fit(source, target, weight=weight, context=context).predict(
            new, context=AnchorContext(source_rows=new_rows)
        )
        sides = (rows.toarray(), new_rows.toarray()) if kind == "interactions" else (source, new)
        ours, others = (unit(side) if normalize else side for side in sides)
        dense = Dense(kernel, ours, target, weight, 0.7, m0=m0)
        mean, variance = dense.predict(others)
        near(prior.mean, mean)
        told = AnchorContext(source_rows=new_rows)
        near(prior.precision, 1 / ((1 + variance) * adapter.spread_.scale(new, told)))
        near(prior.origin, dense.b)

    def test_the_linear_kernel_on_embeddings_is_the_ridge_adapter(self):
        (source, target), new = draw(), draw(9, 1)[0]
        context = AnchorContext(mean=np.arange(4.0))
        ours = KernelAdapter("linear", rows="embeddings", normalize=False, ridge=0.5)
        theirs = RidgeAdapter(0.5 * D_SOURCE / N, normalize=False)  # in units of a column
        for adapter in (ours, theirs):
            adapter.fit(source, target, context=context)
        near(ours.predict(new).mean, theirs.predict(new).mean)

    def test_the_mean_is_the_kernel_ridge_of_scikit_learn(self):
        (source, target), new = draw(), draw(9, 1)[0]
        adapter = KernelAdapter("linear", rows="embeddings", normalize=False, ridge=0.5)
        adapter.fit(source, target)
        rows, mean = source - source.mean(axis=0), target.mean(axis=0)
        theirs = KernelRidge(alpha=0.5 * np.mean(np.sum(rows**2, axis=1))).fit(rows, target - mean)
        near(adapter.predict(new).mean, mean + theirs.predict(new - source.mean(axis=0)))

    def test_features_of_all_anchors_give_the_process_of_scikit_learn(self):
        """Without centring, which scikit-learn has not."""
        (source, target), new = draw(), draw(9, 1)[0]
        view = SourceRows.of("embeddings", source, AnchorContext(), unit=False)
        landmarks = Landmarks.of("rbf", view, np.ones(N), N, 0)
        (f, _), (f_new, lacking) = landmarks.features(source), landmarks.features(new)
        v = np.linalg.inv(f.T @ f + 0.3 * np.eye(f.shape[1]))
        kernel = RBF(np.sqrt(1 / (2 * landmarks.gamma)))
        theirs = GaussianProcessRegressor(kernel, alpha=0.3, optimizer=None).fit(source, target)
        mean, deviation = theirs.predict(new, return_std=True)
        near(f_new @ v @ f.T @ target, mean)
        near(0.3 * np.einsum("ni,ij,nj->n", f_new, v, f_new) + lacking, deviation[:, 0] ** 2)

    def test_a_row_far_from_the_anchors_is_less_certain(self):
        source, target = draw(300)
        adapter = KernelAdapter("rbf", normalize=False, ridge=1.0).fit(source, target)
        mean, far = adapter._fit.predict(np.full((1, D_SOURCE), 50.0))
        assert far > 2 * adapter._fit.predict(source)[1].max()
        near(mean[0], adapter._fit.predict(np.full((1, D_SOURCE), -50.0))[0][0])  # no slope there


class TestLandmarks:
    def view(self, n=N):
        return SourceRows.of("embeddings", draw(n)[0], AnchorContext(), unit=False)

    def test_products_of_features_are_the_kernel_where_one_of_them_is_a_landmark(self):
        landmarks = Landmarks.of("rbf", self.view(), np.ones(N), 20, 0)
        rows = landmarks.rows
        assert rows.shape == (20, D_SOURCE)
        f, lacking = landmarks.features(draw(9, 1)[0])
        squares = ((draw(9, 1)[0][:, None] - rows) ** 2).sum(axis=2)
        near(f @ landmarks.features(rows)[0].T, np.exp(-landmarks.gamma * squares))
        near(lacking, 1 - np.sum(f**2, axis=1))
        assert lacking.max() > 0.1

    def test_the_kernel_of_few_columns_has_as_few_features(self):
        assert Landmarks.of("linear", self.view(), np.ones(N), N, 0).projection.shape[1] == D_SOURCE

    def test_they_are_drawn_by_length_and_weight(self):
        view, weight = self.view(4000), np.repeat([1.0, 1e-9, 3.0, 1.0], 1000)
        rows = Landmarks.of("linear", view, weight, 800, 1).rows
        sizes = weight * np.sum(view.rows**2, axis=1)
        groups = np.bincount(
            np.flatnonzero((view.rows[:, None, 0] == rows[:, 0]).any(axis=1)) // 1000, minlength=4
        )
        assert groups[1] == 0
        assert groups[2] > 1.8 * groups[0]  # three times as likely, less what is drawn already
        mean = np.average(np.sum(view.rows**2, axis=1), weights=sizes)
        assert np.sum(rows**2, axis=1).mean() == pytest.approx(mean, rel=0.1)

    def test_more_of_them_come_closer_to_the_process_and_leave_less_open(self):
        (source, target), new = draw(400), draw(50, 1)[0]
        whole, *some = [
            KernelAdapter("rbf", normalize=False, ridge=1.0, landmarks=m).fit(source, target)
            for m in (400, 10, 60, 200)
        ]
        expected = whole.predict(new).mean
        errors = [np.abs(fit.predict(new).mean - expected).max() for fit in some]
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] < 0.05 * np.abs(expected).max()
        open_ = [fit._fit.predict(new)[1].mean() for fit in (*some, whole)]
        assert (np.diff(open_) < 1e-9).all()

    def test_neither_the_order_of_the_anchors_nor_a_second_draw_changes_a_bit(self):
        (source, target), new = draw(), draw(9, 1)[0]
        order = np.random.default_rng(1).permutation(N)
        fits = [
            KernelAdapter("rbf", landmarks=12).fit(*pair).predict(new)
            for pair in ((source, target), (source, target), (source[order], target[order]))
        ]
        for fit in fits[1:]:
            assert np.array_equal(fit.mean, fits[0].mean)
        other = KernelAdapter("rbf", landmarks=12, rng=1).fit(source, target).predict(new)
        assert not np.allclose(other.mean, fits[0].mean)


class TestLeavingOut:
    @pytest.mark.parametrize("most", [N, 15])
    def test_errors_in_closed_form_are_those_of_fits_without_the_anchor(self, most):
        """With the features, their centre, the ridge and the mean of all rows as they are."""
        (source, target), rng = draw(), np.random.default_rng(2)
        weight, m0, n0 = rng.uniform(0.5, 3, N), np.arange(4.0), 20.0
        view = SourceRows.of("embeddings", source, AnchorContext(), unit=False)
        landmarks = Landmarks.of("rbf", view, weight, most, 0)
        problem = FeatureProblem.of(landmarks, source, target, weight)
        mean = np.average(target, axis=0, weights=weight)
        b = (n0 * m0 + weight.sum() * mean) / (n0 + weight.sum())
        features, lacking = landmarks.features(source)
        off, variance = problem.solve(0.4, b, n0).left_out((features, lacking), target, weight)
        rows = np.hstack([np.ones((N, 1)), features - problem.centre])
        rho = 0.4 * problem.size
        before = np.diag([n0, *[rho] * features.shape[1]])
        for i in range(N):
            rest = np.arange(N) != i
            d = np.diag(weight[rest])
            v = np.linalg.inv(before + rows[rest].T @ d @ rows[rest])
            start = before @ np.vstack([m0, np.zeros((features.shape[1], D))])
            coef = v @ (start + rows[rest].T @ d @ target[rest])
            near(off[i], target[i] - rows[i] @ coef)
            near(variance[i], 1 + rows[i] @ v @ rows[i] + lacking[i] / rho)


class TestChoice:
    def test_bent_maps_ask_for_the_bent_kernel_and_straight_ones_for_the_other(self):
        source, _ = draw(400)
        rng = np.random.default_rng(3)
        noise = 0.1 * rng.normal(size=(400, D))
        bent = np.cos(2 * source[:, :4]) + noise
        straight = source @ rng.normal(size=(D_SOURCE, D)) + noise
        chosen = [KernelAdapter().fit(source, target).kernel_ for target in (bent, straight)]
        assert chosen == ["rbf", "linear"]

    def test_rows_that_tell_more_than_their_embeddings_are_regressed_on(self):
        rng = np.random.default_rng(3)
        rows = draw_rows(300)
        source = rows @ rng.normal(size=(COLUMNS, D_SOURCE))
        target = rows @ rng.normal(size=(COLUMNS, D))
        context = AnchorContext(source_rows=rows)
        adapter = KernelAdapter().fit(source, target, context=context)
        assert (adapter.kernel_, adapter.rows_) == ("linear", "interactions")
        assert KernelAdapter().fit(source, target).rows_ == "embeddings"

    def test_noise_asks_for_more_ridge(self):
        ridges = [KernelAdapter("rbf").fit(*draw(200, noise=x)).ridge_ for x in (0.01, 1, 10)]
        assert ridges == sorted(ridges)
        assert ridges[0] < ridges[-1]

    def test_without_interactions_to_predict_from_it_is_a_ridge_on_the_embeddings(self):
        (source, target), new = draw(), draw(9, 1)[0]
        context = AnchorContext(source_rows=draw_rows(), mean=np.arange(4.0))
        adapter = KernelAdapter("linear").fit(source, target, context=context)
        expected = RidgeAdapter().fit(source, target, context=context).predict(new)
        assert np.array_equal(adapter.predict(new).mean, expected.mean)

    def test_candidates_leave_nothing_open(self):
        for option in KernelAdapter().candidates():
            assert option.kernel != "auto"
            assert option.rows != "auto"
            assert option.normalize in (True, False)
            assert option.ridge > 0
        [only] = KernelAdapter("rbf", rows="interactions", normalize=True, ridge=2.0).candidates()
        assert only.get_params()["rows"] == "interactions"

    @pytest.mark.parametrize("kernel", ["linear", "rbf"])
    def test_errors_are_as_large_as_stated(self, kernel):
        source, target = draw(2400)
        prior = KernelAdapter(kernel).fit(source[:400], target[:400]).predict(source[400:])
        made = np.sum((target[400:] - prior.mean) ** 2, axis=1).mean()
        stated = np.linalg.inv(prior.matrices()).trace(axis1=1, axis2=2).mean()
        assert made == pytest.approx(stated, rel=0.12)  # 400 anchors tell a variance to 4%


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"kernel": "poly"}, 'kernel must be "linear", "rbf" or "auto", got \'poly\''),
            ({"rows": "raw"}, 'rows must be "embeddings", "interactions" or "auto", got \'raw\''),
            ({"normalize": "no"}, "normalize must be True, False or \"auto\", got 'no'"),
            ({"ridge": 0.0}, 'ridge must be "loo" or a positive number, got 0.0'),
            ({"ridge": "gcv"}, "ridge must be \"loo\" or a positive number, got 'gcv'"),
            ({"landmarks": 0}, "landmarks must be a whole number from 1, got 0"),
            ({"pseudo_anchors": -1.0}, "pseudo_anchors must not be negative, got -1.0"),
        ],
    )
    def test_others_are_refused_when_it_is_fitted(self, settings, message):
        with pytest.raises(ValueError, match=re.escape(message)):
            KernelAdapter(**settings).fit(*draw())

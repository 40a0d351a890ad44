"""What the studies on real pairs compute of what they measure, on small cases that are known."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import ndtr

from coldstart import PriorALS, WarmStart
from coldstart.adapters import RidgeAdapter
from coldstart.anchors import find_anchors
from coldstart.arms import make_arm
from coldstart.datasets import make_cross_domain
from coldstart.interactions import Interactions
from coldstart.prior import Prior
from coldstart.protocols import Cold, task_of
from coldstart.rows import solve_rows

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
NAMES = ("study", "intervals", "one_search", "few_anchors", "calibration", "shuffled", "apart")


@pytest.fixture(scope="module")
def scripts():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})


@pytest.fixture(scope="module")
def catalogs():
    return tuple(make_cross_domain(n_users=300, rng=0))


@pytest.fixture(scope="module")
def split(catalogs):
    return Cold(order="random").split(*catalogs, side="users", seed=0)


def small_task(source, split):
    return task_of(
        split,
        source,
        shots=(0, 1, 5),
        metric="ndcg",
        n=10,
        factors=8,
        seed=0,
        num_threads=1,
        side="users",
    )


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def dense_catalog(users, n_items=4):
    return Interactions.from_csr(sp.csr_matrix(np.ones((len(users), n_items))), users=users)


# a study's file


def test_a_study_goes_on_where_it_stopped(scripts, tmp_path, monkeypatch):
    monkeypatch.setattr(scripts.study, "provenance", lambda: {"commit": "abc", "cpu": "Z80"})
    file = tmp_path / "study.json"
    first = scripts.study.Study.at(file, seeds=[0])
    first.add({"pair": "a", "seed": 0})
    first.summary = [{"runs": 1}]
    first.save()
    again = scripts.study.Study.at(file, seeds=[0])
    found = again.find(pair="a", seed=0)
    assert (found["commit"], found["cpu"]) == ("abc", "Z80")
    assert again.find(pair="a", seed=1) is None
    again.add({"pair": "a", "seed": 1})
    again.save()
    written = json.loads(file.read_text())
    assert [run["seed"] for run in written["runs"]] == [0, 1]
    assert written["seeds"] == [0]
    assert list(tmp_path.iterdir()) == [file]


# intervals


def test_a_ratio_that_is_the_same_for_everybody_has_no_interval(scripts, rng):
    below = rng.random(50) + 1
    found = scripts.intervals.ratio_of_means(0.25 * below, below, rng=0)
    assert found == pytest.approx([0.25] * 3, abs=1e-12)


def test_the_interval_of_a_ratio_is_as_wide_as_the_delta_method_says(scripts, rng):
    below = rng.normal(4, 1, 4000)
    above = 0.5 * below + rng.normal(0, 1, 4000)
    ratio, low, high = scripts.intervals.ratio_of_means(above, below, rng=0)
    error = np.std(above - ratio * below) / np.mean(below) / np.sqrt(4000)
    assert ratio == pytest.approx(above.mean() / below.mean())
    # 2,000 resamples: the width is known to a few percent
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert low < ratio < high


# few anchors


@pytest.mark.parametrize("size", [10, 31, None])
def test_only_so_many_anchors_are_left_and_nobody_else_changes(scripts, catalogs, split, size, rng):
    source, few = catalogs[0], scripts.few_anchors
    before = find_anchors(source.users, split.train.users)
    thin = few.thinned(source, split, size, rng)
    after = find_anchors(thin.users, split.train.users)
    assert len(after) == (len(before) if size is None else size)
    assert np.isin(after.source, before.source).all()
    others = np.setdiff1d(np.arange(len(source.users)), before.source)
    assert (thin.users.ids[others] == source.users.ids[others]).all()
    assert np.isin(split.test.source, others).all()  # those who are measured keep their source row
    assert (thin.user_items != source.user_items).nnz == 0


def test_strangers_of_numbered_catalogs_get_numbers_that_nobody_has(scripts, rng):
    source, target = dense_catalog([5, 3, 9, 7, 1]), dense_catalog([3, 7, 100, 9])
    split = SimpleNamespace(train=target)
    thin = scripts.few_anchors.thinned(source, split, 1, rng)
    assert len(find_anchors(thin.users, target.users)) == 1
    assert thin.users.ids[[0, 4]].tolist() == [5, 1]
    assert sorted(thin.users.ids)[-2:] == [101, 102]


def test_larger_draws_contain_the_smaller_ones(scripts, catalogs, split):
    def drawn(size, draw):
        rng = np.random.default_rng([0, draw])
        thin = scripts.few_anchors.thinned(catalogs[0], split, size, rng)
        return set(find_anchors(thin.users, split.train.users).source.tolist())

    assert drawn(10, 0) < drawn(30, 0)
    assert drawn(10, 0) != drawn(10, 1)


def test_all_anchors_are_measured_once_and_only_sizes_below_them(scripts):
    planned = list(scripts.few_anchors.planned([0, 1], [10, 300], 300))
    assert planned == [(0, None), (0, 10), (1, 10)]


def test_two_warm_starts_with_one_search_answer_as_those_with_their_own(scripts, catalogs, split):
    task = small_task(catalogs[0], split)
    search = []
    history = split.test.held.history(1)
    for gate in (True, False):
        arm = scripts.one_search.OneSearchArm("shared", RidgeAdapter(), gate, search).fit(task)
        plain = WarmStart(task.new_model(), RidgeAdapter(), gate=gate, rng=0, num_threads=1)
        plain.fit(task.source, task.train)
        assert len(search) == 1
        assert arm.settings() == plain.report_.to_json()
        everybody = slice(0, len(split.test))
        rows = plain.ids("users").rows(catalogs[0].users.ids[split.test.source])
        alone = plain.served_.queries(plain.served_.mapped, rows, history, 1)
        expected = alone @ plain.served_.catalog(plain.served_.other).T
        found = arm.scorer(split.test.source, history, 1)(everybody)
        np.testing.assert_array_equal(found, expected)
    assert search[0] is not None


def test_a_closed_gate_and_no_gate_of_one_search_serve_differently(scripts):
    source, target = make_cross_domain(n_users=200, unrelated=True, rng=1)
    split = Cold(order="random").split(source, target, side="users", seed=0)
    task, search = small_task(source, split), []
    arms = [
        scripts.one_search.OneSearchArm("", RidgeAdapter(), gate, search).fit(task)
        for gate in (True, False)
    ]
    assert scripts.few_anchors.opened(arms[0].gate) == [False] * 3
    assert arms[1].gate is None
    scores = [
        arm.scorer(split.test.source, split.test.held.history(0), 0)(slice(0, 5)) for arm in arms
    ]
    assert np.ptp(scores[0], axis=0).max() == 0  # no source: the same for everybody
    assert np.ptp(scores[1], axis=0).max() > 0


def test_quality_is_that_of_people_with_something_left_at_every_number_of_shots(
    scripts, catalogs, split
):
    task = small_task(catalogs[0], split)
    arm = make_arm("popularity").fit(task)
    found = scripts.few_anchors._quality(arm, task, split.test)
    known = split.test.held.truth(5).getnnz(axis=1) > 0
    assert 0 < known.sum() <= len(split.test)
    expected = task.quality(arm.scorer(split.test.source, None, 1), split.test, 1)[known]
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[1], expected)


def run_of(few, pair, size, draws):
    run = few.begun(pair, size)
    for number, quality in enumerate(draws):
        few.add_draw(run, number, quality, {"open": [number == 0, False, False]})
    return run


def test_half_of_a_gain_is_kept_where_everybody_keeps_half(scripts, rng):
    few = scripts.few_anchors
    null = rng.random((3, 40)).round(2)
    gain = rng.random((3, 40)).round(2) + 0.1
    whole = run_of(few, "p", None, [{"mean-prior": null, "warm": null + gain}])
    # two draws, one without any gain and one with all of it
    some = run_of(
        few,
        "p",
        10,
        [{"mean-prior": null, "warm": null}, {"mean-prior": null, "warm": null + gain}],
    )
    rows = few.summary([some, whole])
    row = next(r for r in rows if (r["arm"], r["shots"], r["size"]) == ("warm", 1, 10))
    # sums are kept in ten thousandths
    assert row["kept"] == pytest.approx([0.5] * 3, abs=1e-3)
    assert row["difference"][0] == pytest.approx(50 * gain[1].mean(), abs=0.01)
    assert row["difference"][1] < row["difference"][0] < row["difference"][2]
    assert row["sd over draws"] == pytest.approx(50 * gain[1].mean(), abs=0.01)
    assert row["draws"] == 2
    opened = {r["shots"]: r["opened"] for r in rows if (r["arm"], r["size"]) == ("warm", 10)}
    assert opened == {0: 1, 1: 0, 5: 0}
    all_row = next(r for r in rows if (r["arm"], r["shots"], r["size"]) == ("warm", 0, None))
    assert all_row["kept"] == [1.0, 1.0, 1.0]


def test_nothing_is_kept_of_a_gain_that_is_not_there(scripts, rng):
    few = scripts.few_anchors
    null, noise = rng.random((3, 40)), rng.normal(size=(3, 40))
    noise -= noise.mean(axis=1, keepdims=True)
    rows = few.summary([run_of(few, "p", None, [{"mean-prior": null, "warm": null + noise}])])
    assert {row["kept"] for row in rows} == {None}


# calibration


@pytest.mark.parametrize("form", ["scalar", "rows", "columns", "entries", "shared"])
def test_the_variance_of_a_score_is_that_of_the_dense_covariance(scripts, form, rng):
    n, d = 5, 3
    root = rng.normal(size=(d, d))
    precision, shared = {
        "scalar": (2.0, None),
        "rows": (rng.random(n) + 0.5, None),
        "columns": (rng.random((1, d)) + 0.5, None),
        "entries": (rng.random((n, d)) + 0.5, None),
        "shared": (rng.random(n) + 0.5, root @ root.T + np.eye(d)),
    }[form]
    prior = Prior(rng.normal(size=(n, d)), precision, shared=shared)
    person, y = np.array([4, 0, 0, 2]), rng.normal(size=(4, d))
    covariances = np.linalg.inv(prior.matrices())
    expected = [v @ covariances[u] @ v for u, v in zip(person, y, strict=True)]
    np.testing.assert_allclose(
        scripts.calibration.score_variance(prior, person, y), expected, rtol=1e-12
    )


def test_the_variance_of_a_row_is_that_of_its_own_equation(scripts, rng):
    held = sp.csr_matrix(rng.random((4, 6)) < 0.5, dtype=np.float32)
    columns = rng.normal(size=(6, 3)).astype(np.float32)
    wide = columns.astype(np.float64)
    person, y = np.repeat(np.arange(4), 2), rng.normal(size=(8, 3))
    ridged = wide.T @ wide + 2.0 * np.eye(3)
    found = scripts.calibration.row_variance(held, columns, 5.0, ridged, person, y)
    for pair, u in enumerate(person):
        confidence = np.where(held[u].toarray()[0] > 0, 5.0, 1.0)
        matrix = (wide.T * confidence) @ wide + 2.0 * np.eye(3)
        assert found[pair] == pytest.approx(y[pair] @ np.linalg.inv(matrix) @ y[pair], rel=1e-10)


def test_everybody_is_asked_for_all_own_columns_and_as_many_others(scripts, rng):
    held = sp.random(7, 30, 0.2, format="csr", random_state=0)
    person, column, own = scripts.calibration.asked(held, rng)
    for u in range(7):
        mine = person == u
        assert set(column[mine & own]) == set(held[u].indices)
        others = column[mine & ~own]
        assert len(set(others)) == len(others) == (mine & own).sum()
        assert not np.isin(others, held[u].indices).any()


def standard(scripts, person, scale, seed):
    """Pairs whose errors are `scale` times as large as their variance says."""
    rng = np.random.default_rng(seed)
    variance = rng.random(len(person)) + 0.5
    error = scale * np.sqrt(variance) * rng.normal(size=len(person))
    own = np.arange(len(person)) % 2 == 0
    return scripts.calibration.Foretold(person, own, error, variance, np.zeros(len(person)))


def test_a_scale_of_other_people_makes_sizes_right_that_were_wrong(scripts):
    person = np.repeat(np.arange(500), 40)
    parts = [standard(scripts, person, 3.0, seed) for seed in (1, 2)]
    found = scripts.calibration.judged(*parts, row=False)
    assert found["scale"] == pytest.approx(3.0, rel=0.03)
    levels = np.array(scripts.calibration.LEVELS)
    after = np.array(found["after"])
    # 20,000 pairs: the binomial error of a share is at most 0.0035
    np.testing.assert_allclose(after[:, 0], levels, atol=0.015)
    assert (np.diff(after[:, [1, 0, 2]]) > 0).all()
    before = [share for share, _, _ in found["before"]]
    half = [scripts.calibration.half_width(level) / 3 for level in levels]
    np.testing.assert_allclose(before, 2 * ndtr(half) - 1, atol=0.015)
    assert found["calibrated"]
    assert not scripts.calibration.calibrated(before)
    assert found["own"]["z"] == pytest.approx([0, 3], abs=0.1)


def test_the_uncertainty_of_the_row_is_added_only_where_asked(scripts):
    pairs = scripts.calibration.Foretold(*(np.array(v) for v in ([0], [True], [2.0], [1.0], [3.0])))
    assert pairs.z(row=False).tolist() == [2.0]
    assert pairs.z(row=True).tolist() == [1.0]
    assert len(pairs.others.person) == 0


def test_true_scores_are_those_of_the_exact_row_without_a_prior(scripts, catalogs, split):
    source = catalogs[0]
    warm = WarmStart(PriorALS(8, rng=0), RidgeAdapter(), gate=False, rng=0, num_threads=1)
    warm.fit(source, split.train)
    found = scripts.calibration.foretold(warm, source, split.test, np.random.default_rng(0))
    model, u = warm.model_, 4
    row = solve_rows(
        split.test.held.matrix[[u]],
        model.item_factors,
        alpha=model.alpha,
        regularization=model.regularization,
    )[0]
    person, column, _ = scripts.calibration.asked(split.test.held.matrix, np.random.default_rng(0))
    mine = person == u
    place = warm.ids("users").rows([source.users.ids[split.test.source[u]]])
    mean = warm.served_.mapped.belief.prior.take(place).mean[0]
    expected = model.item_factors[column[mine]] @ (row - mean)
    # scores of float32 factors, near one
    np.testing.assert_allclose(found.error[mine], expected, atol=1e-5)
    assert min(found.variance.min(), found.row.min()) > 0


# shuffled anchors


def test_everybody_in_both_catalogs_gets_the_source_row_of_somebody_else(scripts, rng):
    source = dense_catalog(["a", "b", "c", "d", "e", "f"])
    target = dense_catalog(["e", "c", "x", "a", "f"])
    found = scripts.shuffled.shuffled(source, target, rng)
    moved = source.users.ids != found.users.ids
    assert moved.tolist() == [True, False, True, False, True, True]
    assert sorted(found.users.ids) == sorted(source.users.ids)
    assert (found.user_items != source.user_items).nnz == 0


def test_the_summary_counts_gates_and_differences(scripts):
    def run(opened, low, high):
        return {"open": opened, "differences": [{"ci_low": low, "ci_high": high}] * 2}

    runs = [run([True, False], 0.1, 0.2), run([False], -0.2, -0.1), run([False], -0.1, 0.1)]
    found = scripts.shuffled.summed(runs)
    assert found == {"runs": 3, "opened": 1, "below": 2, "above": 2, "differences": 6}


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_anchors_that_are_apart_choose_other_items_than_the_rest_of_the_target(scripts, shift):
    """By the total variation between their shares of interactions and those of the others."""
    source, target = scripts.apart.anchors_apart(60, shift, seed=0)
    anchors = find_anchors(source.users, target.users)
    assert len(anchors) == 60
    assert len(target.users) == 860
    theirs = np.asarray(target.user_items[anchors.target].sum(axis=0)).ravel()
    others = np.asarray(target.user_items.sum(axis=0)).ravel() - theirs
    apart = np.abs(theirs / theirs.sum() - others / others.sum()).sum() / 2
    assert apart > 0.5 if shift else apart < 0.25

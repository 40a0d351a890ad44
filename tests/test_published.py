"""The protocols that others published on: their rules, their files, and the page about them."""

import gzip
import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

from coldstart.datasets import make_cross_domain
from coldstart.interactions import Interactions

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
NAMES = (
    "biased_factors",
    "rating_protocol",
    "sampled_protocol",
    "originals",
    "printed",
    "published",
    "published_tables",
)


@pytest.fixture(scope="module")
def scripts():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})


@pytest.fixture(scope="module")
def study(scripts):
    return json.loads(scripts.published_tables.RESULTS.read_text())


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def rated(rng, n_users, n_items, first=0, share=0.3):
    """A log of ratings from 1 to 5 of users u0, u1, ..."""
    ratings = rng.integers(1, 6, (n_users, n_items)) * (rng.random((n_users, n_items)) < share)
    ratings[:, 0] = 3  # nobody is without a rating
    users = [f"u{number + first}" for number in range(n_users)]
    return Interactions.from_csr(ratings, users=users)


@pytest.fixture
def catalogs(rng):
    return rated(rng, 60, 14), rated(rng, 50, 11, first=20)


# the page and its figures


def test_the_tables_of_the_page_are_written_from_the_results(scripts, study):
    page = scripts.published_tables.PAGE.read_text()
    assert scripts.published_tables.with_tables(page, study) == page


def test_a_page_without_a_marker_is_refused(scripts, study):
    with pytest.raises(ValueError, match="must have the markers"):
        scripts.published_tables.with_tables("<!-- claims -->\n", study)


def test_results_say_where_they_were_measured(study):
    assert {"commit", "date", "cpu", "cores", "python", "versions"} <= study.keys()
    assert not any(run["commit"].endswith("-dirty") for run in study["runs"])


def test_every_pair_that_is_here_was_measured(scripts, study):
    found = {
        (run["protocol"], run["pair"], run.get("beta", run.get("cold in"))) for run in study["runs"]
    }
    ratings = {("rating", p, b) for p in scripts.published.RATED for b in (0.2, 0.5, 0.8)}
    sampled = {("sampled", p, c) for p, v in scripts.published.TAKEN.items() for c in v[1:]}
    assert ratings | sampled <= found


def test_what_the_page_says_of_ratings_is_in_the_results(scripts, study):
    runs = [run["rows"] for run in study["runs"] if run["protocol"] == "rating"]
    names = scripts.rating_protocol.ROWS
    values = {
        m: np.array([[rows[n][m][0] for n in names] for rows in runs]) for m in ("mae", "rmse")
    }
    mae, rmse = ({n: values[m][:, i] for i, n in enumerate(names)} for m in values)
    assert len(runs) == 15
    bare, best, ours = "factors without biases, linear map", names[5], "factors, ridge map"
    for found in (mae, rmse):
        assert (found[bare] > found["constant"]).all()
    assert min(rows[bare]["mae_to_constant"][1] for rows in runs) > 0
    grown = {n: np.abs(mae[n][2::3] - mae[n][::3]) for n in names[1:]}  # from 20 to 80%
    assert grown.pop(bare).min() > 0.2
    assert max(growth.max() for growth in grown.values()) < 0.08
    assert (mae[best] < mae["item bias"]).all()
    assert max(rows[best]["mae_to_constant"][2] for rows in runs) < 0
    assert (rmse[best] == values["rmse"].min(axis=1)).sum() == 13
    assert (mae[ours] > mae[best]).sum() == 14
    assert (rmse[ours] > rmse["item bias"]).sum() == 9
    assert (rmse["constant"][:, None] - values["rmse"]).max() < 0.16
    assert 0.92 < rmse["constant"].min() < rmse["constant"].max() < 1.09


def test_what_the_page_says_of_a_thousand_items_is_in_the_results(study):
    runs = [run["rows"] for run in study["runs"] if run["protocol"] == "sampled"]
    hits = np.array(
        [
            [[rows[n][how]["hr@10"][0] for n in ("popularity", "warm:ridge")] for rows in runs]
            for how in ("sampled", "full")
        ]
    )
    assert hits.shape == (2, 8, 2)
    assert (hits[0, :, 0].min().round(1), hits[0, :, 0].max().round(1)) == (8.5, 25.5)
    times = hits[0] / hits[1]
    assert (times.min().round(1), times.max().round(1)) == (2.2, 9.1)
    assert ((hits[..., 1] > hits[..., 0]).sum(axis=1) == 7).all()


def test_printed_figures_are_complete_and_within_reason(scripts):
    for figures, tasks in (
        (scripts.printed.AMAZON, scripts.printed.AMAZON_TASKS),
        (scripts.printed.DOUBAN, scripts.printed.DOUBAN_TASKS),
    ):
        values = np.array(list(figures.values()))
        assert values.shape == (len(figures), len(tasks), 6)
        assert ((values > 0.3) & (values < 6)).all()
    for methods in scripts.printed.SAMPLED.values():
        for hits, ndcg in filter(None, methods.values()):
            assert len(hits) == len(ndcg)
            assert all(0 < gain < hit < 100 for hit, gain in zip(hits, ndcg, strict=True))


def test_what_cannot_be_is_found_in_a_table(scripts):
    figures = {"a": ((2.5, 3.0, 1.0, 1.1, 0.5, 0.6),), "b": ((1.2, 1.1, 4.1, 4.2, 1.0, 1.0),)}
    assert scripts.published_tables.impossible(figures) == (6, 2, ["b, task 1"])


def test_from_the_sufficient_mean_on_no_ratings_are_worse_for_a_constant(scripts, rng):
    means = [scripts.published_tables.sufficient_mean(p) for p in (5.0, 4.0, 2.31, 0.5, 0.0)]
    assert means == pytest.approx([3, 3, 3 + 1.69**0.5, 3 + 3.5**0.5, 5])
    for share in (0.5, 0.7, 0.95):  # all at the ends of the scale: both bounds are met
        ratings = np.where(np.arange(1000) < 1000 * share, 5.0, 1.0)
        m = ratings.mean()
        assert ratings.var() == pytest.approx((5 - m) * (m - 1))
        assert np.abs(ratings - m).mean() == pytest.approx((5 - m) * (m - 1) / 2)
    for _ in range(20):
        ratings = rng.integers(1, 6, 30).astype(float)
        m = ratings.mean()
        assert ratings.var() <= (5 - m) * (m - 1) + 1e-12


# the rating protocol


def test_rows_of_the_factor_model_solve_their_normal_equations(scripts, rng):
    log = rated(rng, 30, 12).user_items.astype(np.float64)
    model = scripts.biased_factors.fit_factors(log, factors=3, ridge=2.0, sweeps=4)
    u = 7
    left = log[u].data - model.mean - model.items[log[u].indices, 0]
    slopes = model.slopes[log[u].indices]
    row = np.linalg.solve(slopes.T @ slopes + 2.0 * np.eye(4), slopes.T @ left)
    np.testing.assert_allclose(model.users[u], row, rtol=1e-10)
    found = model.predict(model.users[[u, u]], np.array([4, -1]))
    expected = [model.mean + model.slopes[4] @ row + model.items[4, 0], model.mean + row[0]]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_without_biases_there_are_none_and_products_are_fitted_exactly(scripts, rng):
    ratings = np.outer(rng.uniform(1, 2, 8), rng.uniform(1, 2, 6))
    model = scripts.biased_factors.fit_factors(
        sp.csr_matrix(ratings), factors=2, ridge=1e-9, sweeps=40, biased=False
    )
    assert model.mean == 0
    assert not model.users[:, 0].any()
    # a ridge of 1e-9 leaves that much
    np.testing.assert_allclose(model.users[:, 1:] @ model.items[:, 1:].T, ratings, rtol=1e-6)


def test_biases_of_items_are_shrunken_means_of_what_is_above_the_mean(scripts):
    log = Interactions.from_csr(sp.csr_matrix([[5, 1, 0], [3, 0, 0], [0, 2, 4]]))
    found = scripts.rating_protocol.item_biases(log, 2.0)
    np.testing.assert_allclose(found, [(2 + 0) / 4, (-2 - 1) / 4, 1 / 3])
    assert not scripts.rating_protocol.item_biases(log, np.inf).any()


def test_cold_people_lose_all_their_ratings_and_all_are_asked_for(scripts, catalogs, rng):
    source, target = catalogs
    split = scripts.rating_protocol.split_ratings(source, target, 0.5, rng)
    assert len(split.cold) == 20  # of the 40 in both
    ids = source.users.ids[split.cold]
    assert not np.isin(ids, split.train.users.ids).any()
    assert len(split.train.users) == 30
    rows = target.users.rows(ids)
    assert len(split.rating) == target.user_items[rows].nnz
    for number, row in enumerate(rows):
        mine = split.person == number
        assert sorted(split.rating[mine]) == sorted(target.user_items[row].data)


def test_no_prediction_changes_with_the_ratings_of_cold_people(scripts, catalogs):
    """The canary: cold people rate everything 5, and an item that nobody else has."""
    source, target = catalogs
    protocol = scripts.rating_protocol
    split = protocol.split_ratings(source, target, 0.3, np.random.default_rng(1))
    rows = target.users.rows(source.users.ids[split.cold])
    matrix = target.user_items.toarray()
    matrix[rows] = np.where(matrix[rows] > 0, 5, 0)
    canary = np.zeros((len(matrix), 1))
    canary[rows] = 5
    items = [*target.items.ids.tolist(), 999]
    changed = Interactions.from_csr(np.hstack([matrix, canary]), users=target.users, items=items)
    other = protocol.split_ratings(source, changed, 0.3, np.random.default_rng(1))
    assert 999 not in other.train.items
    before = split.column >= 0
    after = other.column >= 0
    assert (~after).sum() == len(rows)
    models = protocol.SourceModels(source)
    for name in protocol.ROWS:
        found = [protocol.predictions(name, 3.0, models, part) for part in (split, other)]
        np.testing.assert_array_equal(found[0][before], found[1][after])


def test_a_constant_has_the_errors_of_the_training_mean(scripts, catalogs):
    source, target = catalogs
    found = scripts.rating_protocol.run(
        scripts.rating_protocol.SourceModels(source), target, 0.5, seed=0
    )
    rng = np.random.default_rng(0)
    split = scripts.rating_protocol.split_ratings(source, target, 0.5, rng)
    missed = split.rating - split.train.user_items.data.mean()
    row = found["rows"]["constant"]
    assert row["mae"][0] == pytest.approx(np.abs(missed).mean(), abs=1e-5)
    assert row["rmse"][0] == pytest.approx((missed**2).mean() ** 0.5, abs=1e-5)
    assert row["mae"][1] < row["mae"][0] < row["mae"][2]
    assert row["mae_to_constant"] == [0, 0, 0]
    assert found["rows"]["zero"]["mae"][0] == pytest.approx(found["mean rating"], abs=1e-3)
    assert set(found["chosen"]) == set(scripts.rating_protocol.ROWS[4:])


def test_a_person_who_is_generous_in_the_source_is_predicted_to_be_so(scripts):
    protocol, people = scripts.rating_protocol, np.arange(40)
    generous = people % 2
    source, target = (
        Interactions.from_csr(np.tile((2 + 2 * generous)[:, None], (1, n))) for n in (6, 5)
    )
    split = protocol.split_ratings(source, target, 0.5, np.random.default_rng(0))
    rows = "item bias", "item bias + source bias", "factors, mean row", "factors, ridge map"
    models = protocol.SourceModels(source)
    found = {
        name: np.abs(split.rating - protocol.predictions(name, 0.01, models, split)).mean()
        for name in rows
    }
    assert found["item bias"] == pytest.approx(1.0, abs=0.1)
    assert found["factors, mean row"] == pytest.approx(1.0, abs=0.1)
    # no intercept: 13 of 20 training people are generous, which is in both kinds of bias at once
    assert found["item bias + source bias"] < 0.4
    assert found["factors, ridge map"] < 0.1


# the sampled protocol


def test_each_tenth_is_cold_on_one_side_only(scripts, catalogs, rng):
    first, second = catalogs
    there, back = scripts.sampled_protocol.split_pair(first, second, rng)
    assert len(there.ids) == len(back.ids) == 4
    assert not set(there.ids) & set(back.ids)
    for people in (there, back):
        assert not np.isin(people.ids, people.train.users.ids).any()
        assert np.isin(people.ids, people.source.users.ids).all()
    known = np.isin(second.items.ids, there.train.items.ids)
    rows = second.users.rows(there.ids)
    assert there.wanted.nnz == second.user_items[rows][:, known].nnz
    assert set(there.wanted.data) == {1, 2}


def test_negatives_are_drawn_alike_from_what_the_person_has_not(scripts, rng):
    wanted = sp.csr_matrix([[1, 2, 0, 0, 0], [0, 0, 0, 1, 0]])
    drawn = scripts.sampled_protocol.draw_negatives(wanted, np.array([0, 1, 1]), 4000, rng)
    assert set(drawn[0]) == {2, 3, 4}
    assert set(drawn[1]) == {0, 1, 2, 4}
    shares = np.bincount(drawn[1], minlength=5)[[0, 1, 2, 4]] / 4000
    np.testing.assert_allclose(shares, 0.25, atol=0.03)  # a standard error is 0.007


def test_ranks_are_those_of_sorting_what_is_compared(scripts, rng):
    protocol = scripts.sampled_protocol
    wanted = sp.csr_matrix((rng.random((70, 40)) < 0.1) * rng.integers(1, 3, (70, 40)))
    scores = rng.normal(size=wanted.shape).astype(np.float32)
    person, column = protocol.pairs(wanted)
    negatives = protocol.draw_negatives(wanted, person, 15, rng)
    for compared in (negatives, None):
        whose, found = protocol.ranks(lambda block: scores[block], wanted, compared, rng)
        np.testing.assert_array_equal(whose, person)
        for pair, (u, i) in enumerate(zip(person, column, strict=True)):
            own = wanted[u].indices
            others = np.setdiff1d(np.arange(40), own) if compared is None else compared[pair]
            expected = 1 + sorted([*scores[u, others], scores[u, i]], reverse=True).index(
                scores[u, i]
            )
            assert found[pair] == expected


def test_a_constant_is_no_better_than_chance(scripts, rng):
    wanted = sp.csr_matrix((np.ones(3000, int), (np.arange(3000), rng.integers(99, size=3000))))
    _, found = scripts.sampled_protocol.ranks(
        lambda block: np.zeros((block.stop - block.start, wanted.shape[1])), wanted, None, rng
    )
    hits = scripts.sampled_protocol.gains(found)[:, 2]
    assert hits.mean() == pytest.approx(10 / wanted.shape[1], abs=0.025)  # four standard errors


def test_gains_are_those_of_one_wanted_item(scripts):
    found = scripts.sampled_protocol.gains(np.array([1, 3, 10, 11]))
    np.testing.assert_allclose(found[:, 0], [1, 1 / 3, 1 / 10, 1 / 11])
    np.testing.assert_allclose(found[:, 1], [1, 0.5, 1 / np.log2(11), 0])
    assert found[:, 2].tolist() == [1, 1, 1, 0]


def test_means_are_over_interactions(scripts):
    found = scripts.sampled_protocol.measured(np.array([0, 0, 0, 2]), np.array([1, 1, 1, 20]))
    assert found["hr@10"][0] == pytest.approx(75)
    assert found["mrr"][0] == pytest.approx(100 * 3.05 / 4)


def test_a_transfer_that_is_real_is_seen_in_both_rankings(scripts):
    source, target = make_cross_domain(n_users=160, noise=0.1, rng=0)
    protocol = scripts.sampled_protocol
    people, _ = protocol.split_pair(source, target, np.random.default_rng(0))
    found = protocol.run(people, factors=8, seed=0, num_threads=1)
    assert 10 < found["people"] <= len(people.ids)
    for how in ("sampled", "full"):
        mrr = {name: row[how]["mrr"][0] for name, row in found["rows"].items()}
        assert list(mrr) == list(protocol.ROWS)
        assert mrr["warm:ridge"] > 1.5 * mrr["constant"]


# files in their original layouts


def write_reviews(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        for user, item, rating in rows:
            review = {"reviewerID": user, "asin": item, "helpful": [0, 1], "overall": rating}
            file.write(json.dumps(review) + "\n")


def test_reviews_and_the_table_made_of_them_are_read_alike(scripts, tmp_path):
    rows = [("A1", "0005019281", 4.0), ("A1", "B00", 5.0), ("A2", "0005019281", 1.0)]
    write_reviews(tmp_path / "ptupcdr" / "raw" / "reviews_Books_5.json.gz", rows)
    reviews = scripts.originals.read_amazon(tmp_path, "Books")
    table = tmp_path / "ptupcdr" / "mid" / "Books.csv"
    table.parent.mkdir()
    table.write_text("uid,iid,y\n" + "".join(f"{u},{i},{y}\n" for u, i, y in rows))
    again = scripts.originals.read_amazon(tmp_path, "Books")
    assert reviews.users.ids.tolist() == ["A1", "A2"]
    assert reviews.items.ids.tolist() == ["0005019281", "B00"]
    assert reviews.user_items.toarray().tolist() == [[4, 5], [1, 0]]
    assert (again.users, again.items) == (reviews.users, reviews.items)
    assert (again.user_items != reviews.user_items).nnz == 0


@pytest.mark.parametrize("line", ['{"reviewerID": "A1", "asin": "B00"}', "no JSON", "[1, 2]"])
def test_a_line_that_is_no_review_is_named(scripts, tmp_path, line):
    path = tmp_path / "ptupcdr" / "raw" / "reviews_Books_5.json.gz"
    write_reviews(path, [("A1", "B00", 4.0)])
    with gzip.open(path, "at") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=r"line 2 of .*reviews_Books_5\.json\.gz must be a JSON"):
        scripts.originals.read_amazon(tmp_path, "Books")


def test_a_table_with_other_columns_is_refused(scripts, tmp_path):
    table = tmp_path / "ptupcdr" / "mid" / "Books.csv"
    table.parent.mkdir(parents=True)
    table.write_text("user,item,y\na,b,3\n")
    with pytest.raises(ValueError, match="must have columns uid, iid and y"):
        scripts.originals.read_amazon(tmp_path, "Books")


CDRIB = {  # users 0 to 3 are in both; 2 is cold in video, 3 in game; 4 is two people
    "game_video/train": "0\t0\n0\t1\n1\t1\n2\t0\n4\t2\n",
    "game_video/valid": "3\t1\n",
    "game_video/test": "3\t0\n3\t7\n",
    "video_game/train": "0\t5\n1\t6\n3\t6\n4\t5\n",
    "video_game/valid": "2\t5\n",
    "video_game/test": "2\t6\n",
}


def write_cdrib(root, files=CDRIB):
    for name, text in files.items():
        path = root / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_files_of_cdrib_hold_two_catalogs_with_some_people_in_common(scripts, tmp_path):
    write_cdrib(tmp_path)
    to_video, to_game = scripts.originals.read_cdrib(tmp_path, "game", "video")
    assert to_video.source.users.ids.tolist() == ["0", "1", "2", "game 4"]
    assert to_video.train.users.ids.tolist() == ["0", "1", "3", "video 4"]
    assert to_video.ids.tolist() == ["2"]
    assert to_video.wanted.toarray().tolist() == [[2, 1]]  # 5 for validation, 6 to be ranked
    assert to_video.unknown == 0
    assert to_game.ids.tolist() == ["3"]
    assert to_game.wanted.toarray().tolist() == [[1, 2, 0]]
    assert to_game.unknown == 1  # item 7 is in no training log


def test_a_line_of_cdrib_that_is_no_pair_is_named(scripts, tmp_path):
    write_cdrib(tmp_path, {**CDRIB, "video_game/train": "0\t5\n1 6\n"})
    with pytest.raises(ValueError, match=r"line 2 of .*train\.txt must be two whole numbers"):
        scripts.originals.read_cdrib(tmp_path, "game", "video")


def test_the_archive_of_unicdr_serves_where_cdrib_is_not_complete(scripts, tmp_path):
    write_cdrib(tmp_path / "cdrib" / "dataset", {"game_video/train": ""})
    with pytest.raises(scripts.originals.NotPlacedError, match=r"no .*cdrib.* and no .*unicdr"):
        scripts.originals.cdrib_root(tmp_path, "Game-Video")
    root = tmp_path / "unicdr" / "datasets" / "dual-user-inter" / "dataset"
    write_cdrib(root)
    assert scripts.originals.cdrib_root(tmp_path, "Game-Video") == root


def test_what_is_not_there_is_said_and_what_to_place_where(scripts, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out.json"
    given = ["--data", str(tmp_path), "--only", "rating Amazon", "sampled Game", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["published.py", *given])
    scripts.published.main()
    said = capsys.readouterr().out
    assert "reviews_Movies_and_TV_5.json.gz" in said
    assert "sampled Game-Video: no " in said
    assert scripts.originals.PLACES in said
    assert not out.exists()


def test_tasks_in_place_are_run_once(scripts, tmp_path, monkeypatch, capsys, rng):
    for name, first in (("Movies_and_TV", 0), ("CDs_and_Vinyl", 20)):
        log = rated(rng, 40, 9, first=first)
        rows = [
            (log.users.ids[u], f"{name}{i}", float(y))
            for u, i, y in zip(*sp.find(log.user_items), strict=True)
        ]
        write_reviews(tmp_path / "ptupcdr" / "raw" / f"reviews_{name}_5.json.gz", rows)
    out = tmp_path / "out.json"
    given = ["--data", str(tmp_path), "--only", "rating Amazon Movies", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["published.py", *given])
    scripts.published.main()
    runs = json.loads(out.read_text())["runs"]
    assert [run["beta"] for run in runs] == [0.2, 0.5, 0.8]
    assert [run["people"] for run in runs] == [4, 10, 16]
    assert "rating, Amazon Movies -> Music, 0.2" in capsys.readouterr().err
    scripts.published.main()
    assert json.loads(out.read_text())["runs"] == runs

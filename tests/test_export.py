"""What is exported answers like the model."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from usearch.index import Index

from coldstart import PriorALS, WarmStart, export
from coldstart.adapters import RidgeAdapter
from coldstart.datasets import make_cross_domain
from coldstart.errors import ColdstartError
from coldstart.strength import Fallback, NullArm


@pytest.fixture(scope="module", params=["users", "items"])
def warm(request):
    source, target = make_cross_domain(300, 200, 150, factors=4, rng=0)
    if request.param == "items":
        source, target = source.T, target.T
    model = PriorALS(8, rng=0)
    given = {"side": request.param, "strength": 1.0, "gate": False, "rng": 0}
    return WarmStart(model, RidgeAdapter(), **given).fit(source, target)


def vectors(path):
    frame = pl.read_parquet(path)
    assert frame["row"].to_list() == list(range(len(frame)))
    return frame["id"].to_list(), np.array(frame["vector"].to_list(), np.float32)


def test_tables_hold_the_scores_of_the_model(warm, tmp_path):
    assert warm.export(tmp_path / "out") == 1.0
    users, x = vectors(tmp_path / "out" / "users.parquet")
    items, y = vectors(tmp_path / "out" / "items.parquet")
    assert users == list(warm.ids("users"))
    assert items == list(warm.ids("items"))
    ids, scores = warm.recommend(users[:20], 5)
    for row, (listed, values) in enumerate(zip(ids, scores, strict=True)):
        found = [float(x[row] @ y[items.index(item)]) for item in listed]
        np.testing.assert_allclose(found, values, atol=1e-4)
    told = json.loads((tmp_path / "out" / "export.json").read_text())
    assert told["recall@10"] == 1.0
    assert told["width"] == x.shape[1]


def test_those_who_are_served_what_is_popular_are_exported_so(tmp_path):
    source, target = make_cross_domain(300, 200, 150, factors=4, rng=0)
    arm = Fallback((0,), (NullArm("popularity"),))
    warm = WarmStart(PriorALS(8, rng=0), RidgeAdapter(), strength=1.0, gate=False, rng=0)
    fitted = warm.fit(source, target)._fitted
    belief = replace(fitted.belief, open=(False,), fallback=arm, unknown=arm)
    taken = np.bincount(target.user_items.indices, minlength=len(target.items))
    extras = replace(fitted.extras, popularity=np.stack([taken, taken]).astype(np.float32))
    warm._keep(replace(fitted, belief=belief, extras=extras))
    assert warm.export(tmp_path / "out") == 1.0
    users, x = vectors(tmp_path / "out" / "users.parquet")
    items, y = vectors(tmp_path / "out" / "items.parquet")
    ids, scores = warm.recommend(users[:20], 5)
    assert scores.max() == taken.max()
    for row, (listed, values) in enumerate(zip(ids, scores, strict=True)):
        assert [float(x[row] @ y[items.index(item)]) for item in listed] == values.tolist()


def check_index(warm, folder, search):
    _, x = vectors(folder / "users.parquet")
    items, y = vectors(folder / "items.parquet")
    np.testing.assert_allclose(np.linalg.norm(y, axis=1), np.linalg.norm(y[0]), rtol=1e-4)
    served = warm.served_
    sides = {warm.side: served.mapped}
    sides["items" if warm.side == "users" else "users"] = served.other
    exact = served.catalog(sides["users"]) @ served.catalog(sides["items"]).T
    effort = json.loads((folder / "export.json").read_text())["expansion_search"]
    found = search(x, effort)
    least = np.sort(exact, axis=1)[:, -10:-9]  # of equal scores any will do
    scores = np.take_along_axis(exact, np.asarray(found, np.int64), axis=1)
    assert (scores >= least - 1e-5 * np.abs(exact).max()).mean() >= 0.98
    assert len(items) == exact.shape[1]


def test_usearch_finds_what_the_model_recommends(warm, tmp_path):
    assert warm.export(tmp_path / "out", format="usearch") >= 0.98
    index = Index.restore(tmp_path / "out" / "items.usearch")

    def search(x, effort):
        index.expansion_search = effort
        return index.search(x, 10).keys

    check_index(warm, tmp_path / "out", search)


def test_hnswlib_finds_what_the_model_recommends(warm, tmp_path):
    hnswlib = pytest.importorskip("hnswlib")
    assert warm.export(tmp_path / "out", format="hnswlib") >= 0.98
    _, x = vectors(tmp_path / "out" / "users.parquet")
    index = hnswlib.Index(space="cosine", dim=x.shape[1])
    index.load_index(str(tmp_path / "out" / "items.hnswlib"))

    def search(x, effort):
        index.set_ef(effort)
        return index.knn_query(x, k=10)[0]

    check_index(warm, tmp_path / "out", search)


def test_an_index_that_finds_too_little_is_refused(warm, tmp_path, monkeypatch):
    def blind(folder, _):
        (folder / "items.usearch").write_bytes(b"")
        return lambda users, effort: np.zeros((len(users), 10), np.int64)

    monkeypatch.setitem(export._SEARCHES, "usearch", blind)
    with pytest.raises(ColdstartError, match=r"finds 0\.\d+ of the first 10 .* than 0.98"):
        warm.export(tmp_path / "out", format="usearch")
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_replaced_and_nothing_else_is(warm, tmp_path):
    warm.export(tmp_path / "out")
    warm.export(tmp_path / "out", format="usearch")
    assert (tmp_path / "out" / "items.usearch").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(ColdstartError, match="is there and no export, or not that alone: choose"):
        warm.export(tmp_path / "mine")
    warm.save(tmp_path / "out")
    with pytest.raises(ColdstartError, match="is there and no export, or not that alone"):
        warm.export(tmp_path / "out")
    assert WarmStart.load(tmp_path / "out").ids("users") == warm.ids("users")
    with pytest.raises(ValueError, match="format must be one of parquet, usearch, hnswlib"):
        warm.export(tmp_path / "new", format="annoy")
    with pytest.raises(ValueError, match="not fitted"):
        WarmStart(PriorALS()).export(tmp_path / "new")

"""Embeddings from files in the formats of others, and from their models."""

import warnings

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.cpu.lmf import LogisticMatrixFactorization

from coldstart import Factors, Interactions, PriorALS, WarmStart
from coldstart.adapters import RidgeAdapter
from coldstart.datasets import make_cross_domain, read_factors
from coldstart.errors import DataError
from coldstart.threads import one_blas_thread

with warnings.catch_warnings():  # the wheel may be built without OpenMP, and says so
    warnings.simplefilter("ignore")
    from lightfm import LightFM
    from lightfm.data import Dataset

IMPLICIT = [AlternatingLeastSquares, BayesianPersonalizedRanking, LogisticMatrixFactorization]
X = np.arange(12, dtype=np.float32).reshape(4, 3) / 4
USERS = ["dan", "ann", "cem", "bob"]


def words(path, rows=X, ids=USERS, head=None, end="\n"):
    head = head or f"{len(rows)} {rows.shape[1]}"
    values = [" ".join(map(str, row)) for row in rows.tolist()]
    lines = [f"{i} {row}" for i, row in zip(ids, values, strict=True)]
    path.write_text("\n".join([head, *lines]) + end)
    return path


@pytest.fixture(scope="module")
def log():
    matrix = sp.random(40, 30, 0.15, format="csr", random_state=0, dtype=np.float32)
    matrix = matrix.tolil()
    matrix[5] = 0
    matrix[:, 7] = 0
    return Interactions.from_csr(
        matrix.tocsr(), [f"u{r}" for r in range(40)], [f"i{c}" for c in range(30)]
    )


def trained(kind, log):
    with one_blas_thread():  # implicit warns of anything else
        model = kind(factors=5, iterations=4, num_threads=1, random_state=1)
        model.fit(log.user_items.copy(), show_progress=False)
    return model


def products(factors):
    found = factors.user_factors @ factors.item_factors.T
    if factors.user_biases is not None:
        found = found + factors.user_biases[:, None]
    return found if factors.item_biases is None else found + factors.item_biases


class TestImplicit:
    @pytest.mark.parametrize("kind", IMPLICIT)
    def test_scores_are_those_of_the_model_and_the_model_stays_as_it_is(self, kind, log):
        model = trained(kind, log)
        before = model.user_factors.copy(), model.item_factors.copy()
        factors = Factors.from_implicit(model, log)
        known = np.diff(log.user_items.indptr) > 0, np.diff(log.T.user_items.indptr) > 0
        expected = (model.user_factors @ model.item_factors.T)[np.ix_(*known)]
        np.testing.assert_allclose(products(factors)[np.ix_(*known)], expected, atol=1e-5)
        assert factors.width == 5
        assert not factors.user_factors[5].any()
        assert not factors.item_factors[7].any()
        assert factors.users == log.users
        assert np.array_equal(model.user_factors, before[0])
        assert np.array_equal(model.item_factors, before[1])

    def test_what_was_fitted_on_something_else_is_refused(self, log):
        model = trained(IMPLICIT[0], log)
        with pytest.raises(DataError, match="fitted on the transposed matrix: fit it on users x"):
            Factors.from_implicit(model, log.T)
        fewer = log.keep_users(np.arange(40) < 30)
        with pytest.raises(DataError, match=r"40 users and 30 items but .* pass those it was"):
            Factors.from_implicit(model, fewer)
        with pytest.raises(ValueError, match="no factors yet: fit it first"):
            Factors.from_implicit(PriorALS(4), log)
        with pytest.raises(TypeError, match=r"one of implicit's factor models, got builtins\.dict"):
            Factors.from_implicit({}, log)

    @pytest.mark.parametrize("kind", IMPLICIT)
    def test_its_own_files_are_read_with_ids(self, kind, log, tmp_path):
        model = trained(kind, log)
        model.save(tmp_path / "model.npz")
        factors = read_factors(tmp_path / "model.npz", user_ids=log.users, item_ids=log.items)
        np.testing.assert_allclose(
            products(factors), model.user_factors @ model.item_factors.T, atol=1e-5
        )
        assert factors.users == log.users
        with pytest.raises(DataError, match=r"40 users and no ids .* user_ids must name them all"):
            read_factors(tmp_path / "model.npz", user_ids=["u1"])


class TestLightFM:
    def likes(self, log):
        """What LightFM wants: ones, and arrays that it could write to."""
        return sp.coo_matrix((log.user_items > 0).astype(np.float32).toarray())

    @pytest.fixture
    def model(self, log):
        likes = self.likes(log)
        return LightFM(5, loss="warp", random_state=1).fit(likes, epochs=3)

    def test_scores_are_those_of_the_model(self, model, log):
        factors = Factors.from_lightfm(model, users=log.users, items=log.items)
        users, items = np.repeat(np.arange(40), 30), np.tile(np.arange(30), 40)
        expected = model.predict(users, items).reshape(40, 30)
        np.testing.assert_allclose(products(factors), expected, atol=1e-5)
        known = Factors.from_lightfm(model, log)
        assert not known.user_factors[5].any()
        assert not known.item_factors[7].any()
        assert known.item_biases[7] == 0
        assert np.array_equal(known.user_factors[0], factors.user_factors[0])

    def test_ids_of_a_dataset_are_taken_by_their_rows(self, model, log):
        dataset = Dataset()
        dataset.fit(reversed(list(log.users)), log.items)
        users, _, items, _ = dataset.mapping()
        factors = Factors.from_lightfm(model, users=users, items=items)
        assert list(factors.users) == list(reversed(list(log.users)))
        with pytest.raises(DataError, match="must name every row from 0 to 39 once: it has 2"):
            Factors.from_lightfm(model, users={"a": 0, "b": 5})

    def test_with_features_rows_are_sums_of_them(self, log):
        rng = np.random.default_rng(0)
        features = sp.hstack([sp.eye(40), sp.csr_matrix(rng.random((40, 3)) < 0.3)]).tocsr()
        features = features.astype(np.float32)
        model = LightFM(4, random_state=1)
        model.fit(self.likes(log), user_features=features, epochs=2)
        factors = Factors.from_lightfm(model, log, user_features=features)
        np.testing.assert_allclose(
            factors.user_factors, features @ model.user_embeddings, atol=1e-5
        )

    def test_what_does_not_fit_is_refused(self, model, log):
        with pytest.raises(DataError, match="pass those it was fitted on"):
            Factors.from_lightfm(model, log.T)
        with pytest.raises(ValueError, match="fit it first"):
            Factors.from_lightfm(LightFM(), log)
        with pytest.raises(TypeError, match="model must be LightFM's, got PriorALS"):
            Factors.from_lightfm(PriorALS(), log)


class TestArrays:
    def test_everything_comes_back(self, tmp_path):
        parts = {"user_factors": X, "item_factors": X + 1, "users": USERS, "items": [3, 1, 4, 2]}
        np.savez(tmp_path / "f.npz", **parts, item_biases=np.arange(4.0))
        factors = read_factors(tmp_path / "f.npz")
        assert list(factors.users) == USERS
        assert list(factors.items) == [3, 1, 4, 2]
        assert np.array_equal(factors.user_factors, X)
        assert factors.item_biases.tolist() == [0, 1, 2, 3]
        some = read_factors(tmp_path / "f.npz", user_ids=["bob", "ann"], item_ids=[1])
        assert np.array_equal(some.user_factors, X[[3, 1]])
        assert some.item_biases.tolist() == [1.0]

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"x": X}, "no array user_factors and no item_factors, but x"),
            (
                {"user_factors": X, "item_factors": X[:, 0]},
                r"must be numbers \(n, d\)",
            ),
            ({"user_factors": X, "item_factors": X[:, :2]}, "3 wide but item factors are 2 wide"),
            ({"user_factors": X, "item_factors": X, "users": ["a"]}, "1 ids .* do not fit 4 rows"),
            ({"user_factors": X, "item_factors": X, "users": np.ones(4)}, "integers or strings"),
            ({"user_factors": X * np.nan, "item_factors": X}, "NaN or infinite"),
            ({"user_factors": X.astype(object), "item_factors": X}, "no .npz file of plain arrays"),
        ],
    )
    def test_what_is_wrong_is_told_with_the_file(self, tmp_path, arrays, message):
        np.savez(tmp_path / "f.npz", **arrays)
        with pytest.raises(DataError, match=message):
            read_factors(tmp_path / "f.npz")

    def test_damaged_and_missing_files_are_told(self, tmp_path):
        np.savez(tmp_path / "f.npz", user_factors=X, item_factors=X)
        whole = (tmp_path / "f.npz").read_bytes()
        (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
        for name in ("cut.npz", "none.npz"):
            with pytest.raises(DataError, match=f"{name}: "):
                read_factors(tmp_path / name)
        with pytest.raises(ValueError, match="has both sides"):
            read_factors(tmp_path / "f.npz", tmp_path / "f.npz")


class TestParquet:
    @pytest.fixture
    def spark(self, tmp_path):
        """A folder of part files, as Spark leaves ``model.userFactors``."""
        folder = tmp_path / "userFactors"
        folder.mkdir()
        for number, part in enumerate(np.array_split(np.arange(4), 2)):
            table = pa.table(
                {
                    "id": pa.array(10 * part, pa.int32()),
                    "features": pa.array(X[part].tolist(), pa.list_(pa.float32())),
                }
            )
            pq.write_table(table, folder / f"part-0000{number}.snappy.parquet")
        (folder / "_SUCCESS").touch()
        return folder

    def test_the_folder_of_a_side_is_read(self, spark):
        factors = read_factors(spark, spark, item_ids=[30, 0])
        assert list(factors.users) == [0, 10, 20, 30]
        assert np.array_equal(factors.user_factors, X)
        assert np.array_equal(factors.item_factors, X[[3, 0]])
        assert len(read_factors(items=spark).users) == 0

    @pytest.mark.parametrize(
        ("frame", "message"),
        [
            ({"id": [1], "f": [[1.0]]}, "no column 'features', the columns are id, f"),
            ({"id": [1, 2], "features": [[1.0], [1.0, 2.0]]}, "lists are between 1 and 2 long"),
            ({"id": [1, 2], "features": [[1.0], None]}, "without an id or without a list"),
            ({"id": [1, 2], "features": [[1.0], [None]]}, "1 values in column 'features' are"),
            ({"id": [1], "features": [["x"]]}, "must hold lists of numbers"),
            ({"id": [1], "features": [1.0]}, "must hold lists of numbers, got Float64"),
            ({"id": [1, 1], "features": [[1.0], [2.0]]}, "f.parquet: .*1"),
        ],
    )
    def test_what_is_wrong_is_told(self, tmp_path, frame, message):
        pl.DataFrame(frame).write_parquet(tmp_path / "f.parquet")
        with pytest.raises(DataError, match=message):
            read_factors(tmp_path / "f.parquet")

    def test_missing_ids_empty_folders_and_other_files_are_told(self, spark, tmp_path):
        with pytest.raises(DataError, match="no row for 1 of 2 ids, for example 7: leave those"):
            read_factors(spark, user_ids=[0, 7])
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match=r"holds no \.parquet file"):
            read_factors(tmp_path / "empty")
        (tmp_path / "f.parquet").write_text("no")
        with pytest.raises(DataError, match="no valid Parquet file"):
            read_factors(tmp_path / "f.parquet")


class TestWords:
    @pytest.mark.parametrize("end", ["\n", " \n", ""])
    def test_rows_come_in_their_order(self, tmp_path, end):
        factors = read_factors(words(tmp_path / "users.txt", end=end))
        assert list(factors.users) == USERS
        assert np.array_equal(factors.user_factors, X)
        assert factors.item_factors.shape == (0, 3)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"head": "4"}, "first line must be the number of rows and their width"),
            ({"head": "5 3"}, "first line says 5 rows, but it has 4: is it cut short"),
            ({"head": "3 3"}, "first line says 3 rows, but it has more"),
            ({"head": "4 2"}, "row 1 has 3 values where the first line says 2"),
            ({"head": "4000000000 3000"}, "for which it is too short"),
            ({"ids": ["a", "b", "a", "c"]}, "a"),
            ({"end": " x\n"}, "something in rows 1 to 4 is no number"),
        ],
    )
    def test_what_is_wrong_is_told(self, tmp_path, change, message):
        with pytest.raises(DataError, match=message):
            read_factors(words(tmp_path / "users.txt", **change))

    def test_other_encodings_are_told(self, tmp_path):
        (tmp_path / "f.txt").write_bytes(b"1 2\n\xff 1 2\n")
        with pytest.raises(DataError, match="not UTF-8"):
            read_factors(tmp_path / "f.txt")

    def test_nothing_to_read_is_told(self):
        with pytest.raises(ValueError, match="pass a file of users, of items, or both"):
            read_factors()


def test_a_model_trained_elsewhere_is_reused_without_its_interactions(tmp_path):
    """A word2vec file of one side is all that a warm start asks of the source."""
    source, target = make_cross_domain(200, 60, 40, factors=4, rng=0)
    model = PriorALS(6, rng=0).fit(source.user_items, show_progress=False)
    words(tmp_path / "users.txt", model.user_factors, list(source.users))
    warm = WarmStart(PriorALS(6, rng=0), RidgeAdapter(), strength=1.0, gate=False)
    warm.fit(read_factors(tmp_path / "users.txt"), target)
    newcomers = [u for u in source.users if u not in target.users]
    ids, _ = warm.recommend(newcomers, 3)
    assert ids.shape == (len(newcomers), 3)

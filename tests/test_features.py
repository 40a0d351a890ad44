"""Features: one row of numbers per id, from arrays, frames and files."""

import copy
import gzip
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import MultiLabelBinarizer, OneHotEncoder, StandardScaler, normalize

from coldstart import Features
from coldstart.datasets import read_features
from coldstart.errors import DataError, UnknownIdError
from coldstart.vocabulary import Vocabulary

SHARED = Path(__file__).parents[2] / "shared" / "data"

ITEMS: dict[str, list[Any]] = {
    "item": ["a", "b", "c", "d", "e"],
    "title": ["green tea", "black tea bags", "tea tea bags", None, "orange jam"],
    "kind": ["tea|green", "tea|black", "tea | bags", "", "jam"],
    "maker": ["x", "y", "x", None, "x"],
    "price": [1.0, 2.0, 30.0, 4.0, 500.0],
}


@pytest.fixture(params=[pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "pyarrow"])
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=[np.asarray, sp.csr_matrix, sp.coo_matrix, sp.csc_array])
def form(request: pytest.FixtureRequest) -> Any:
    return request.param


def dense(matrix: Any) -> Any:
    return matrix.toarray() if sp.issparse(matrix) else matrix


MATRIX = np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0], [4.0, 5.0, 0.0], [0.0, 0.0, 6.0]])


class TestArrays:
    def test_any_form_of_matrix_is_kept_as_dense_or_csr(self, form: Any) -> None:
        features = Features.from_arrays(["a", "b", "c", "d"], form(MATRIX))
        assert (len(features), features.width) == (4, 3)
        assert sp.issparse(features.matrix) == sp.issparse(form(MATRIX))
        assert np.array_equal(dense(features.matrix), MATRIX)
        assert not sp.issparse(features.matrix) or isinstance(features.matrix, sp.csr_matrix)

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            (np.float32, np.float32),
            (np.float64, np.float64),
            (np.int8, np.float64),
            (bool, np.float64),
            (np.float16, np.float64),
        ],
    )
    def test_single_and_double_precision_stay(self, form: Any, given: Any, kept: Any) -> None:
        if given is np.float16 and form is not np.asarray:
            pytest.skip("scipy has no sparse float16")
        features = Features.from_arrays(range(4), form(MATRIX.astype(given)))
        assert features.matrix.dtype == kept

    def test_nobody_can_change_them(self, form: Any) -> None:
        mine = form(MATRIX.copy())
        features = Features.from_arrays(range(4), mine)
        (mine if form is np.asarray else mine.data)[:] = 7
        assert np.array_equal(dense(features.matrix), MATRIX)
        kept = features.matrix.data if sp.issparse(features.matrix) else features.matrix
        with pytest.raises(ValueError, match="read-only"):
            kept[0] = 1
        with pytest.raises(AttributeError):
            features.matrix = MATRIX  # type: ignore[misc]

    def test_entries_in_any_order_and_told_twice_are_kept_in_order_and_added_up(self) -> None:
        given = sp.csr_matrix(([2.0, 1.0, 3.0], [2, 0, 0], [0, 3, 3]), shape=(2, 3))
        for part in (given.data, given.indices, given.indptr):
            part.flags.writeable = False
        matrix = Features.from_arrays(["a", "b"], given).matrix
        assert np.array_equal((matrix != 0).toarray(), [[True, False, True], [False] * 3])
        assert matrix.data.tolist() == [4.0, 2.0]
        assert given.data.tolist() == [2.0, 1.0, 3.0]

    def test_they_survive_copying_and_pickling(self, form: Any) -> None:
        features = Features.from_arrays(range(4), form(MATRIX))
        for twin in (copy.deepcopy(features), pickle.loads(pickle.dumps(features))):
            assert twin.ids == features.ids
            assert np.array_equal(dense(twin.matrix), MATRIX)

    @pytest.mark.parametrize(
        ("ids", "matrix", "message"),
        [
            (range(640), np.zeros((812, 2)), "features has 812 rows but 640 ids: pass one id"),
            (["a", "b", "a", "c"], MATRIX, "ids must be unique, but 1 of 4 repeat .* 'a'"),
            (["a", None, "b", "c"], MATRIX, "1 of 4 ids are null"),
            (range(4), np.where(MATRIX == 5, np.nan, MATRIX), "features holds 1 NaN or inf: fill"),
            (range(4), sp.csr_matrix(np.where(MATRIX == 5, np.inf, MATRIX)), "holds 1 NaN or inf"),
            (range(4), MATRIX[:, 0], r"features must be \(n, p\), got .* shape \(4,\)"),
            (range(4), MATRIX.astype(str), "features must be numbers, got dtype <U"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, ids: Any, matrix: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message) as caught:
            Features.from_arrays(ids, matrix)
        assert isinstance(caught.value, DataError)

    def test_the_repr_has_the_numbers(self, form: Any) -> None:
        kind = "sparse" if sp.issparse(form(MATRIX)) else "dense"
        shown = repr(Features.from_arrays(range(4), form(MATRIX)))
        assert shown == f"Features(4 ids x 3 columns, {kind})"


class TestRows:
    def test_rows_come_in_the_order_that_was_asked_for(self, form: Any) -> None:
        rows, known = Features.from_arrays(list("abcd"), form(MATRIX)).rows(["d", "a", "d"])
        assert np.array_equal(dense(rows), MATRIX[[3, 0, 3]])
        assert known.tolist() == [True, True, True]

    def test_unknown_ids_are_rows_of_zeros_and_told(self, form: Any) -> None:
        features = Features.from_arrays(list("abcd"), form(MATRIX))
        rows, known = features.rows(Vocabulary(["z", "c", "y", "a"]), missing="mask")
        assert sp.issparse(rows) == sp.issparse(features.matrix)
        assert np.array_equal(dense(rows), np.array([[0, 0, 0], MATRIX[2], [0, 0, 0], MATRIX[0]]))
        assert known.tolist() == [False, True, False, True]

    @pytest.mark.parametrize("asked", [[], ["y", "z"]])
    def test_none_known_is_a_matrix_of_zeros(self, form: Any, asked: list[str]) -> None:
        rows, known = Features.from_arrays(list("abcd"), form(MATRIX)).rows(asked, missing="mask")
        assert rows.shape == (len(asked), 3)
        assert not dense(rows).any()
        assert known.tolist() == [False] * len(asked)

    def test_unknown_ids_raise_unless_they_may_be_missing(self, form: Any) -> None:
        with pytest.raises(UnknownIdError, match="1 of 2 ids are unknown: 'z'"):
            Features.from_arrays(list("abcd"), form(MATRIX)).rows(["a", "z"])

    def test_ids_of_the_other_kind_are_refused(self, form: Any) -> None:
        with pytest.raises(DataError, match="ids are int but those of the features are str"):
            Features.from_arrays(list("abcd"), form(MATRIX)).rows([1, 2], missing="mask")


class TestFrames:
    """What scikit-learn's own transformers say, to float32's rounding: 1e-6."""

    def test_texts_are_tf_idf_of_words_that_two_rows_share(self, make: Any) -> None:
        features = Features.from_frame(make(ITEMS), text=["title"])
        titles = [title or "" for title in ITEMS["title"]]
        theirs = TfidfVectorizer(min_df=2, sublinear_tf=True).fit_transform(titles)
        np.testing.assert_allclose(features.matrix.toarray(), theirs.toarray(), atol=1e-6)
        assert features.width == 2  # tea and bags
        lengths = np.linalg.norm(features.matrix.toarray(), axis=1)
        np.testing.assert_allclose(lengths, [1, 1, 1, 0, 0], atol=1e-6)

    def test_several_categories_of_a_field_are_a_column_each(self, make: Any) -> None:
        features = Features.from_frame(make(ITEMS), categories=["kind"])
        lists = [["tea", "green"], ["tea", "black"], ["tea", "bags"], [], ["jam"]]
        theirs = normalize(MultiLabelBinarizer().fit_transform(lists).astype(float))
        np.testing.assert_allclose(features.matrix.toarray(), theirs, atol=1e-6)

    def test_a_comma_may_stand_between_them(self) -> None:
        with_bars = Features.from_frame(pd.DataFrame(ITEMS), categories=["kind"])
        table = {**ITEMS, "kind": [kind.replace("|", ",") for kind in ITEMS["kind"]]}
        with_commas = Features.from_frame(pd.DataFrame(table), categories=["kind"], split=",")
        assert np.array_equal(dense(with_commas.matrix), dense(with_bars.matrix))

    def test_a_field_may_be_one_category(self, make: Any) -> None:
        features = Features.from_frame(make(ITEMS), categories=["maker"], split=None)
        makers = [[maker] for maker in ITEMS["maker"] if maker]
        theirs = OneHotEncoder().fit_transform(makers).toarray()
        kept = [0, 1, 2, 4]
        assert np.array_equal(features.matrix.toarray()[kept], theirs)
        assert not features.matrix.toarray()[3].any()

    @pytest.mark.parametrize("codes", [[3, 1, 3, 1, 2], [3.0, 1.0, 3.0, float("nan"), 1.0]])
    def test_categories_may_be_numbers(self, make: Any, codes: list[Any]) -> None:
        features = Features.from_frame(make({**ITEMS, "kind": codes}), categories=["kind"])
        same = np.equal.outer(codes, codes)
        assert np.array_equal((features.matrix @ features.matrix.T).toarray(), same)

    def test_numbers_are_logs_with_mean_zero_and_variance_one(self, make: Any) -> None:
        table = {**ITEMS, "change": [-3, 0, 3, 9, -80]}
        features = Features.from_frame(make(table), numbers=["price", "change"])
        change = np.array(table["change"])
        logs = np.column_stack([np.log1p(ITEMS["price"]), np.sign(change) * np.log1p(abs(change))])
        assert not sp.issparse(features.matrix)
        theirs = StandardScaler().fit_transform(logs)
        np.testing.assert_allclose(features.matrix, theirs, atol=1e-6)

    def test_a_number_that_all_share_says_nothing(self) -> None:
        features = Features.from_frame(pd.DataFrame({**ITEMS, "price": 0.1}), numbers=["price"])
        assert not features.matrix.any()

    def test_everything_together_stands_side_by_side(self, make: Any) -> None:
        frame = make(ITEMS)
        together = Features.from_frame(
            frame, text=["title"], categories=["kind", "maker"], numbers=["price"]
        )
        apart = [
            Features.from_frame(frame, text=["title"]),
            Features.from_frame(frame, categories=["kind"]),
            Features.from_frame(frame, categories=["maker"]),
            Features.from_frame(frame, numbers=["price"]),
        ]
        assert list(together.ids) == ITEMS["item"]
        assert isinstance(together.matrix, sp.csr_matrix)
        stacked = np.hstack([dense(part.matrix) for part in apart])
        assert np.array_equal(together.matrix.toarray(), stacked)

    def test_categories_that_are_all_empty_are_no_columns(self) -> None:
        table = pd.DataFrame({**ITEMS, "none": ""})
        assert Features.from_frame(table, categories=["none", "maker"]).width == 2

    @pytest.mark.parametrize(
        ("change", "settings", "message"),
        [
            ({}, {}, "no column was named: pass some as text, categories or numbers"),
            ({}, {"text": ["name"]}, "there is no column 'name'; the columns are 'item', 'title'"),
            ({"item": list("abcda")}, {"text": ["title"]}, "column 'item': ids must be unique"),
            ({"item": ["a", "b", "c", "d", None]}, {"text": ["title"]}, "'item' has 1 null ids"),
            ({"title": list("abcde")}, {"text": ["title"]}, "'title' has no word that two rows"),
            ({"price": [1.0, None, 3.0, None, 2.0]}, {"numbers": ["price"]}, "2 numbers of 5"),
            ({}, {"numbers": ["title"]}, "column 'title' holds .*, but features must be numbers"),
        ],
    )
    def test_what_cannot_be_read_is_refused(
        self, make: Any, change: dict[str, Any], settings: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(DataError, match=message):
            Features.from_frame(make({**ITEMS, **change}), **settings)

    @pytest.mark.parametrize("name", ["text", "categories", "numbers"])
    def test_one_column_must_come_in_a_list(self, name: str) -> None:
        with pytest.raises(TypeError, match=f"{name} must be a sequence of columns: put 'title'"):
            Features.from_frame(pd.DataFrame(ITEMS), **{name: "title"})


class TestFiles:
    """`read_features` is `Features.from_frame` on a file."""

    TABLE = "domain,item,title,price\ntea,01,green tea,3\ntea,1,black tea,9.5\njam,x,red jam,2\n"

    def test_a_file_is_read_as_its_frame_and_ids_of_text_files_stay_strings(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "items.csv.gz"
        path.write_bytes(gzip.compress(self.TABLE.encode()))
        features = read_features(f"{path}#tea", text=["title"], numbers=["price"])
        frame = pd.DataFrame({"item": ["01", "1"], "title": ["green tea", "black tea"]})
        expected = Features.from_frame(
            frame.assign(price=[3, 9.5]), text=["title"], numbers=["price"]
        )
        assert features.ids == expected.ids
        assert np.array_equal(dense(features.matrix), dense(expected.matrix))

    @pytest.mark.parametrize(
        ("table", "settings", "message"),
        [
            (TABLE, {}, "no column was named"),
            (TABLE, {"numbers": ["title"]}, "column 'title' is not numeric: 3 of 3"),
            (TABLE.replace("x,", "1,"), {"numbers": ["price"]}, "column 'item': ids must be uniq"),
            (TABLE, {"text": ["name"]}, "there is no column 'name'"),
        ],
    )
    def test_a_message_begins_with_the_path(
        self, tmp_path: Path, table: str, settings: dict[str, Any], message: str
    ) -> None:
        path = tmp_path / "items.csv"
        path.write_text(table)
        with pytest.raises(DataError, match=f"^{path}: {message}"):
            read_features(path, **settings)

    @pytest.mark.parametrize("name", ["text", "categories", "numbers"])
    def test_one_column_must_come_in_a_list_here_too(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / "items.csv"
        path.write_text(self.TABLE)
        with pytest.raises(TypeError, match=f"{name} must be a sequence of columns: put 'title'"):
            read_features(path, **{name: "title"})

    @pytest.mark.parametrize(
        ("name", "settings", "ids", "told"),
        [
            ("amazon/items.csv.gz#Food", {"text": ["title"]}, 11_837, 0.64),
            ("yelp/items.csv.gz", {"categories": ["category"]}, 1_272, 1.0),
        ],
    )
    def test_the_shared_sets_are_read(
        self, name: str, settings: dict[str, Any], ids: int, told: float
    ) -> None:
        """A third of the titles of Food is missing: those rows are zeros, the others of length 1
        to float32's rounding.
        """
        if not (SHARED / name.partition("#")[0]).is_file():
            pytest.skip(f"the shared data set {name} is not here")
        features = read_features(SHARED / name, **settings)
        assert len(features) == ids
        squares = np.asarray(features.matrix.multiply(features.matrix).sum(axis=1)).ravel()
        assert np.mean(squares > 0) == pytest.approx(told, abs=0.01)
        np.testing.assert_allclose(squares[squares > 0], 1, atol=1e-5)

"""Ranking: the kernel against a row-by-row sort, and what it owes to ties, NaN and short rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.sparse import csc_matrix, csr_matrix, random

from coldstart import ranking
from coldstart.ranking import recommend_rows, top_n

N_ROWS, N_COLUMNS, N = 37, 211, 6
SCORES = st.sampled_from([0.0, 1.0, -1.0, 2.5, np.nan, np.inf, -np.inf])


def top_n_plain(scores, n, seen, order):
    """The slow twin of `top_n`: sort each row by (falling score, order) and cut it off."""
    columns = np.full((len(scores), n), -1)
    values = np.full((len(scores), n), -np.inf, dtype=np.float32)
    for row, row_scores in enumerate(scores):
        free = set(range(len(row_scores))) - set(seen[row].indices)
        ranked = sorted(
            (j for j in free if row_scores[j] > -np.inf), key=lambda j: (-row_scores[j], order[j])
        )[:n]
        columns[row, : len(ranked)] = ranked
        values[row, : len(ranked)] = row_scores[ranked]
    return columns, values


@pytest.fixture
def scores(rng):
    return rng.standard_normal((N_ROWS, N_COLUMNS)).astype(np.float32)


@pytest.fixture
def seen():
    return random(N_ROWS, N_COLUMNS, density=0.2, format="csr", random_state=4)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def same(result, expected):
    return all(np.array_equal(ours, theirs) for ours, theirs in zip(result, expected, strict=True))


def test_lists_equal_those_of_a_full_sort(scores, seen, rng):
    order = rng.permutation(N_COLUMNS)
    assert same(top_n(scores, N, seen=seen, order=order), top_n_plain(scores, N, seen, order))


@settings(deadline=None)
@given(
    data=st.data(), scores=arrays(np.float32, array_shapes(min_dims=2, max_dims=2), elements=SCORES)
)
def test_lists_equal_those_of_a_full_sort_with_ties_nan_infinities_and_short_rows(data, scores):
    n = data.draw(st.integers(1, 8))
    order = np.array(data.draw(st.permutations(range(scores.shape[1]))))
    seen = csr_matrix(data.draw(arrays(np.bool_, scores.shape)))
    result = top_n(scores, n, seen=seen, order=order)
    assert same(result, top_n_plain(scores, n, seen, order))


def test_columns_are_int64_and_values_are_the_float32_scores(scores):
    columns, values = top_n(scores, N)
    assert columns.dtype == np.int64
    assert values.dtype == np.float32
    assert np.array_equal(values, np.take_along_axis(scores, columns, axis=1))


def test_equal_scores_are_ranked_by_column_number_unless_an_order_is_given():
    level = np.zeros((2, 5), dtype=np.float32)
    assert top_n(level, 3)[0].tolist() == [[0, 1, 2]] * 2
    assert top_n(level, 3, order=[4, 0, 3, 1, 2])[0].tolist() == [[1, 3, 4]] * 2


def test_nan_and_minus_infinity_are_never_listed():
    columns, values = top_n([[np.nan, 1.0, -np.inf, np.inf]], 4)
    assert columns.tolist() == [[3, 1, -1, -1]]
    assert values.tolist() == [[np.inf, 1.0, -np.inf, -np.inf]]


def test_lists_longer_than_the_catalog_are_padded():
    columns, values = top_n([[1.0, 3.0]], 4)
    assert columns.tolist() == [[1, 0, -1, -1]]
    assert values.tolist() == [[3.0, 1.0, -np.inf, -np.inf]]


def test_a_row_that_has_seen_everything_gets_padding_alone(scores):
    seen = csr_matrix(np.arange(N_ROWS)[:, None] * np.ones(N_COLUMNS) == 5)
    columns, _ = top_n(scores, N, seen=seen)
    assert (columns[5] == -1).all()
    assert (np.delete(columns, 5, axis=0) >= 0).all()


def test_an_entry_of_seen_counts_whatever_its_value():
    stored_zero = csr_matrix(([0.0], [1], [0, 1]), shape=(1, 3))
    assert top_n([[1.0, 2.0, 3.0]], 3, seen=stored_zero)[0].tolist() == [[2, 0, -1]]


def test_seen_may_come_unsorted_or_as_another_sparse_format(scores, seen):
    expected = top_n(scores, N, seen=seen)
    backward = [
        np.arange(start, stop)[::-1]
        for start, stop in zip(seen.indptr[:-1], seen.indptr[1:], strict=True)
    ]
    unsorted = csr_matrix(
        (seen.data, seen.indices[np.concatenate(backward)], seen.indptr), seen.shape
    )
    as_given = unsorted.indices.copy()
    assert same(top_n(scores, N, seen=unsorted), expected)
    assert np.array_equal(unsorted.indices, as_given)
    assert same(top_n(scores, N, seen=csc_matrix(seen)), expected)


def test_results_are_the_same_for_any_number_of_threads(scores, seen, monkeypatch):
    expected = top_n(scores, N, seen=seen, num_threads=1)
    monkeypatch.setattr("coldstart.ranking._SCORES_PER_BLOCK", 3 * N_COLUMNS)
    for num_threads in (0, 1, 2, 5):
        assert same(top_n(scores, N, seen=seen, num_threads=num_threads), expected)


def test_scores_may_be_any_numbers_in_any_layout_and_are_left_alone(scores):
    expected = top_n(scores, N)
    frozen = np.asfortranarray(scores.astype(np.float64))
    frozen.flags.writeable = False
    assert same(top_n(frozen, N), expected)
    assert top_n([[3, 1, 2]], 2)[0].tolist() == [[0, 2]]


def test_no_rows_and_no_columns_give_empty_and_padded_lists():
    assert top_n(np.empty((0, 4)), 3)[0].shape == (0, 3)
    assert top_n(np.empty((2, 0)), 3)[0].tolist() == [[-1] * 3] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": np.zeros(3)}, r"scores must have shape \(rows, columns\), got \(3,\)"),
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"seen": csr_matrix((2, 4))}, r"shape \(2, 3\) but seen \(2, 4\)"),
        ({"order": [0, 1]}, "order must be a permutation of the 3 column numbers"),
        ({"order": [0, 1, 1]}, "order must be a permutation"),
        ({"num_threads": -1}, "num_threads must be 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        top_n(**({"scores": np.zeros((2, 3)), "n": 2} | arguments))


class TestRecommendRows:
    @pytest.fixture
    def factors(self, rng):
        queries, catalog = rng.standard_normal((300, 8)), rng.standard_normal((N_COLUMNS, 8))
        return queries.astype(np.float32), catalog.astype(np.float32)

    def test_it_ranks_the_products(self, factors):
        queries, catalog = factors
        seen = random(len(queries), N_COLUMNS, density=0.2, format="csr", random_state=5)
        columns, values = recommend_rows(*factors, N, seen=seen)
        expected = top_n_plain(queries @ catalog.T, N, seen, np.arange(N_COLUMNS))
        assert np.array_equal(columns, expected[0])
        np.testing.assert_allclose(values, expected[1], rtol=1e-5, atol=1e-6)  # float32 sums

    @pytest.mark.parametrize("d", [1, 8, 64, 257])
    def test_lists_are_those_of_exact_products_however_close(self, rng, d):
        queries = rng.integers(-2000, 2000, (50, d)).astype(np.float32)  # float32 cannot hold sums
        catalog = np.repeat(rng.integers(-2000, 2000, (40, d)), 25, axis=0).astype(np.float32)
        catalog[::3, 0] += 1
        seen = random(len(queries), len(catalog), density=0.2, format="csr", random_state=5)
        order = rng.permutation(len(catalog))
        exact = (queries.astype(np.float64) @ catalog.T.astype(np.float64)).astype(np.float32)
        lists = recommend_rows(queries, catalog, 60, seen=seen, order=order)
        assert same(lists, top_n_plain(exact, 60, seen, order))

    @pytest.mark.parametrize("size", [1e-30, 1e-20, 1e18, 1e20])
    def test_products_beyond_float32_are_ranked_all_the_same(self, rng, size):
        queries, catalog = (
            (size * rng.standard_normal((n, 64))).astype(np.float32) for n in (30, N_COLUMNS)
        )
        with np.errstate(over="ignore"):
            exact = (queries.astype(float) @ catalog.T.astype(float)).astype(np.float32)
        seen = csr_matrix((30, N_COLUMNS))
        lists = recommend_rows(queries, catalog, N, seen=seen)
        assert same(lists, top_n_plain(exact, N, seen, np.arange(N_COLUMNS)))

    def test_nothing_is_known_of_a_query_of_zeros(self, factors):
        queries, catalog = factors
        columns, values = recommend_rows(0 * queries, catalog, N, order=np.arange(N_COLUMNS)[::-1])
        assert (columns == N_COLUMNS - 1 - np.arange(N)).all()
        assert not values.any()

    def test_products_that_are_not_numbers_neither_enter_nor_keep_others_out(self):
        catalog = np.array([[1, 0], [np.nan, 0], [2, 0], [np.inf, 0], [-np.inf, 0]], np.float32)
        columns, values = recommend_rows(np.array([[1, 0], [0, 0]], np.float32), catalog, 4)
        assert columns.tolist() == [[3, 2, 0, -1], [0, 2, -1, -1]]
        assert values.tolist() == [[np.inf, 2, 1, -np.inf], [0, 0, -np.inf, -np.inf]]

    @pytest.mark.parametrize("d", [1, 8, 64, 257])
    @pytest.mark.parametrize("n_columns", [5, 50, 3000])
    def test_neither_the_other_queries_nor_the_threads_change_a_bit(
        self, rng, monkeypatch, d, n_columns
    ):
        monkeypatch.setattr(ranking, "_SCORES_PER_BLOCK", 40 * n_columns)
        queries = rng.standard_normal((90, d)).astype(np.float32)
        catalog = rng.standard_normal((n_columns, d)).astype(np.float32)
        columns, values = recommend_rows(queries, catalog, N, num_threads=1)
        for rows in (slice(0, 1), slice(17, 77), slice(89, 90)):
            part = recommend_rows(queries[rows], catalog, N, num_threads=2)
            assert np.array_equal(part[0], columns[rows])
            assert np.array_equal(part[1], values[rows])

    def test_equal_columns_are_ranked_by_their_order(self, factors):
        queries, catalog = factors
        columns, _ = recommend_rows(queries, np.vstack([catalog, catalog]), 2 * N)
        assert np.array_equal(columns[:, ::2] + N_COLUMNS, columns[:, 1::2])

    def test_wrong_arguments_are_named(self, factors):
        queries, catalog = factors
        with pytest.raises(ValueError, match=r"equally wide, got \(300, 7\) and \(211, 8\)"):
            recommend_rows(queries[:, :7], catalog, N)
        with pytest.raises(ValueError, match="n must be at least 1, got 0"):
            recommend_rows(queries, catalog, 0)

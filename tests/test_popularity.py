"""How popular columns are: scipy as the oracle of the percentiles."""

import numpy as np
from scipy.sparse import csr_matrix
from scipy.stats import percentileofscore

from coldstart.popularity import counts, percentiles


def test_counts_are_rows_per_column_whatever_the_weights():
    log = csr_matrix(np.array([[2.0, 0, 0, 7], [0.5, 0, 0, 0]]))
    assert counts(log).tolist() == [2, 0, 0, 1]


def test_percentiles_are_those_of_scipy_with_half_of_the_ties():
    people = np.random.default_rng(2).integers(6, size=37)
    expected = percentileofscore(people, people, kind="mean") / 100
    np.testing.assert_allclose(percentiles(people), expected, atol=1e-12)
    assert abs(percentiles(people).mean() - 0.5) < 1e-12
    assert percentiles([]).shape == (0,)

"""Serve a warm model's factors from a RecTools pipeline.

RecTools pins its own implicit and numpy, so that this takes two environments:

    pip install coldstart                     # in the first
    python examples/rectools_preset.py make factors.npz
    pip install rectools==0.19.0              # in the second
    python examples/rectools_preset.py serve factors.npz

The file holds the warm model's factors in the rows of a RecTools dataset. RecTools' wrapper around
implicit's ALS takes a model whose factors are there already; that is all that it is given.
"""

import sys

import numpy as np


def make(path: str) -> None:
    """Fit with coldstart, and write interactions, ids and factors."""
    from coldstart import PriorALS, WarmStart
    from coldstart.adapters import RidgeAdapter
    from coldstart.datasets import make_cross_domain

    films, books = make_cross_domain(n_users=300, rng=0)
    model = PriorALS(16, rng=0)
    warm = WarmStart(model, RidgeAdapter(), strength=1.0, gate=False, rng=0).fit(films, books)
    rows, columns = books.user_items.nonzero()
    np.savez(
        path,
        users=np.array(list(books.users)),
        items=np.array(list(books.items)),
        rows=rows,
        columns=columns,
        user_factors=warm.model_.user_factors,
        item_factors=warm.model_.item_factors,
    )


def serve(path: str) -> None:
    """Recommend by RecTools, and compare with the products of the factors."""
    import pandas as pd
    from implicit.als import AlternatingLeastSquares
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import ImplicitALSWrapperModel

    file = np.load(path)
    frame = pd.DataFrame(
        {
            Columns.User: file["users"][file["rows"]],
            Columns.Item: file["items"][file["columns"]],
            Columns.Weight: 1.0,
            Columns.Datetime: pd.Timestamp("2026-01-01"),
        }
    )
    dataset = Dataset.construct(frame)
    order = [
        [list(file[name]).index(key) for key in ids.external_ids]
        for name, ids in (("users", dataset.user_id_map), ("items", dataset.item_id_map))
    ]
    model = AlternatingLeastSquares(factors=16)
    model.user_factors = file["user_factors"][order[0]]
    model.item_factors = file["item_factors"][order[1]]
    wrapper = ImplicitALSWrapperModel(model)
    wrapper.model, wrapper.is_fitted = model, True  # as its own fit leaves them
    asked = dataset.user_id_map.external_ids[:3]
    lists = wrapper.recommend(asked, dataset, k=5, filter_viewed=True)
    print(lists)
    x, y = model.user_factors[0], model.item_factors
    scores = y @ x
    scores[dataset.item_id_map.convert_to_internal(frame[frame.user_id == asked[0]].item_id)] = -9
    best = dataset.item_id_map.convert_to_external(np.argsort(-scores)[:5])
    assert lists[lists.user_id == asked[0]].item_id.tolist() == list(best)


if __name__ == "__main__":
    {"make": make, "serve": serve}[sys.argv[1]](sys.argv[2])

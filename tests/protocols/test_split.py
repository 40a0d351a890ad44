"""Splits: what arms see of them, and numbers that fall by ids."""

import numpy as np
import pytest

from coldstart.protocols import Cold, task_of
from coldstart.protocols.split import by_id, chances


@pytest.fixture(scope="module")
def split(world):
    return Cold().split(world.source, world.target, side="users", seed=3)


SETTINGS = {
    "shots": (0, 4),
    "metric": "mrr",
    "n": 6,
    "factors": 9,
    "num_threads": 1,
    "side": "users",
}


def test_a_task_has_the_source_and_nothing_of_the_test_people(split):
    task = task_of(split, split.source, seed=3, **SETTINGS)
    assert task.source is split.source
    assert task.train is split.train
    assert task.validation is split.validation
    assert not any(value is split.test for value in vars(task).values())
    assert {name: getattr(task, name) for name in SETTINGS} == SETTINGS


def test_ties_fall_by_one_seeded_permutation_of_the_training_catalog(split):
    orders = [task_of(split, split.source, seed=seed, **SETTINGS).order for seed in (3, 3, 4)]
    assert np.array_equal(np.sort(orders[0]), np.arange(len(split.train.items)))
    assert np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])


def test_chances_fall_by_the_ids_of_rows_and_columns(world):
    moved, rng = world.permuted(), np.random.default_rng
    here, there = (
        dict(zip(world.weights(log), chances(log, 2, rng(7)).T.tolist(), strict=True))
        for log in (world.target, moved.target)
    )
    assert here == there
    turned = {(row, column): drawn for (column, row), drawn in here.items()}
    again = dict(
        zip(
            world.weights(world.target.T),
            chances(world.target.T, 2, rng(7)).T.tolist(),
            strict=True,
        )
    )
    assert again.keys() == turned.keys()
    assert again != turned  # rows come first, whatever they are


def test_in_ascending_logs_chances_fall_in_the_order_of_the_entries(world):
    rng = np.random.default_rng
    assert np.array_equal(chances(world.target, 2, rng(7)), rng(7).random((2, world.target.nnz)))


def test_rows_by_id_are_in_the_order_of_their_ids_in_any_log(world):
    rows = np.array([5, 70, 12, 3])
    for log in (world.target, world.permuted().target):
        found = by_id(log, rows)
        assert sorted(found) == sorted(rows)
        assert log.users.ids[found].tolist() == sorted(log.users.ids[rows])

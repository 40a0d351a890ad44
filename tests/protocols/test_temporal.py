"""Temporal: one cut through both logs, and an earlier one for those who are tuned on."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from coldstart.errors import AnchorError, DataError
from coldstart.evaluation import evaluate
from coldstart.interactions import Interactions
from coldstart.protocols import Temporal

SEED, CUT, TUNED = 6, 0.75, 0.3


@pytest.fixture(scope="module")
def split(world):
    rule = Temporal(CUT, validation_share=TUNED)
    (made,) = rule.splits(world.source, world.target, side="users", seed=SEED)
    return made


@pytest.fixture(scope="module")
def twin(world):
    """Both cuts, and who is tuned on, by a table and a shuffled list of ids."""
    times = pl.Series(sorted(world.times(world.target).values()))
    now, earlier = (
        int(times.quantile(share, interpolation="higher")) for share in (CUT, 2 * CUT - 1)
    )
    shuffled = np.random.default_rng(SEED).permutation(world.common)
    return now, earlier, set(shuffled[: int(TUNED * len(shuffled))])


def before(world, log, twin):
    """Pairs that came before the cut of their person."""
    now, earlier, tuned = twin
    times = world.times(log)
    return {pair for pair in times if times[pair] < (earlier if pair[0] in tuned else now)}


def test_what_came_before_the_cut_of_each_person_is_fitted_in_both_catalogs(world, split, twin):
    assert set(world.weights(split.train)) == before(world, world.target, twin)
    assert set(world.weights(split.source)) == before(world, world.source, twin)


def test_times_are_kept_where_they_belong(world, split):
    for log, whole in ((split.train, world.target), (split.source, world.source)):
        assert world.times(log).items() <= world.times(whole).items()


def test_tested_is_whoever_the_source_knew_and_has_something_after_the_cut(world, split, twin):
    now, _, tuned = twin
    times = world.times(world.target)
    later = {user for (user, _), time in times.items() if time >= now}
    knew = {user for user, _ in before(world, world.source, twin)}
    tested = later & knew & set(world.common) - tuned
    assert set(world.names(split.test)) == tested
    catalog = set(split.train.items)
    assert world.truth(split, split.test) == {
        pair for pair, time in times.items() if time >= now and pair[0] in tested
    } & {(user, item) for user in tested for item in catalog}


def test_those_who_are_tuned_on_find_what_came_between_the_cuts(world, split, twin):
    now, earlier, tuned = twin
    times = world.times(world.target)
    between = {pair for pair, time in times.items() if earlier <= time < now}
    names = set(world.names(split.validation))
    assert names <= tuned
    catalog = set(split.train.items)
    expected = {pair for pair in between if pair[0] in names and pair[1] in catalog}
    assert world.truth(split, split.validation) == expected


def test_histories_are_what_came_before_and_shots_the_first_ones_after(world, split):
    times, train = world.times(world.target), set(world.weights(split.train))
    for people in (split.test, split.validation):
        names = set(world.names(people))
        assert world.history(split, people) == {pair for pair in train if pair[0] in names}
        for name, items in world.orders(split, people).items():
            came = [times[name, item] for item in items]
            assert came == sorted(came)


def test_nothing_of_the_future_is_left_anywhere(world, split, twin):
    now, earlier, tuned = twin
    for log in (split.train, split.source):
        last = {}
        for (user, _), time in world.times(log).items():
            last[user] = max(time, last.get(user, 0))
        assert max(last.values()) < now
        assert max(time for user, time in last.items() if user in tuned) < earlier


@pytest.mark.parametrize(("cut", "before"), [(0.8, 0.6), (0.6, 0.2), (0.4, 0.2)])
def test_the_earlier_cut_leaves_as_much_between_as_after_or_half(world, cut, before):
    times = np.array(sorted(world.times(world.target).values()))
    now, earlier = Temporal(cut).cuts(world.source, world.target)
    assert np.mean(times < now) == pytest.approx(cut, abs=0.02)  # many times are the same
    assert np.mean(times < earlier) == pytest.approx(before, abs=0.02)


def test_logs_without_times_are_refused(world):
    for timeless in ("source", "target"):
        logs = {"source": world.source, "target": world.target}
        logs[timeless] = replace(logs[timeless], timestamps=None)
        with pytest.raises(
            DataError, match=rf"needs timestamps, and the {timeless} has none: name"
        ):
            Temporal().splits(**logs, side="users", seed=0)


def test_a_source_of_which_nothing_came_before_is_refused(world):
    late = Interactions(
        world.source.user_items,
        world.source.users,
        world.source.items,
        world.source.timestamps + 1_000_000,
    )
    with pytest.raises(DataError, match=r"no source interaction came before .* different units"):
        Temporal().splits(late, world.target, side="users", seed=0)


def test_too_few_people_after_the_cut_are_an_error_that_counts_them(world):
    few = world.source.keep_users(np.isin(world.source.users.ids, world.common[:4]))
    reason = r"a cut at 0.8 of the target log has \d people after it .*and 0 to tune.*2 are needed"
    with pytest.raises(AnchorError, match=reason):
        Temporal().splits(few, world.target, side="users", seed=0)


@pytest.mark.parametrize("name", ["cut", "validation_share"])
def test_shares_out_of_range_are_refused(world, name):
    with pytest.raises(ValueError, match=f"{name} must be between 0 and 1, got 1.0"):
        Temporal(**{name: 1.0}).splits(world.source, world.target, side="users", seed=0)


def test_arms_are_tuned_at_the_earlier_moment_on_what_came_before_it(world, split, twin):
    """What validation people are to find there is in nobody's past, in either catalog."""
    _, earlier, tuned = twin
    then = split.earlier
    for log, whole in ((then.train, world.target), (then.source, world.source)):
        assert set(world.weights(log)) == {
            p for p, at in world.times(whole).items() if at < earlier
        }
    assert set(world.names(then.validation)) <= tuned
    assert len(then.validation) > 2
    times = world.times(world.target)
    truth = world.truth(then, then.validation)
    assert truth
    assert all(earlier <= times[pair] < twin[0] for pair in truth)


def test_choices_are_those_of_the_earlier_moment(world):
    """An arm that says what it was fitted on: first there, and then on all, with what it chose."""
    seen = []

    class Spy:
        name, uses_source = "spy", False

        def fit(self, task):
            seen.append((task.train, task.given))
            self.width = len(task.train.items)
            self.tuned = task.choose({"k": [1, 2]}, lambda *_: self.scorer(None, None, 0))
            return self

        def scorer(self, source, history, shots):
            return lambda block: np.zeros((block.stop - block.start, self.width))

        def settings(self):
            return {}

    evaluate(
        world.source, world.target, protocol=Temporal(CUT), arms=[Spy()], shots=(0,), factors=3
    )
    (before, nothing), (train, given) = seen
    assert nothing is None
    assert before.timestamps.max() < train.timestamps.max()
    assert len(given.trials) == 2

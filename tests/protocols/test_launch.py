"""Launch: everybody is tested, and only a share of the log is there."""

from itertools import pairwise

import numpy as np
import pytest

from coldstart.errors import AnchorError
from coldstart.protocols import Launch

SHARES = (0.2, 0.5, 1.0)


def made(world, **settings):
    return Launch(**settings).splits(world.source, world.target, side="users", seed=5)


@pytest.fixture(scope="module")
def levels(world):
    return {share: made(world, share=share) for share in SHARES}


@pytest.fixture(scope="module", params=SHARES)
def halves(levels, request):
    return levels[request.param]


def truths(world, halves):
    return [world.truth(split, split.test) for split in halves]


def there(world, split):
    """What is there to learn from, with what those who are tuned on keep back of it."""
    return set(world.weights(split.train)) | world.truth(split, split.validation)


def test_the_halves_test_different_people_and_together_everybody(world, levels):
    names = [set(world.names(split.test)) for split in levels[1.0]]
    assert not names[0] & names[1]
    assert abs(len(names[0]) - len(names[1])) < 0.2 * len(world.target.users)
    # with the whole rest of the log there, what nobody has is what is to be found
    found = set.union(*truths(world, levels[1.0]))
    assert found | there(world, levels[1.0][0]) == set(world.weights(world.target))
    assert names[0] | names[1] == {name for name, _ in found}


def test_both_halves_have_the_same_log(world, halves):
    assert there(world, halves[0]) == there(world, halves[1])


def test_who_is_tuned_on_is_of_the_half_that_is_not_tested(world, halves):
    tested = [set(world.names(split.test)) for split in halves]
    for split, others in zip(halves, tested, strict=True):
        assert not set(world.names(split.validation)) & others


def test_people_have_what_is_there_of_their_own_as_their_history(world, halves):
    for split in halves:
        train = set(world.weights(split.train))
        for people in (split.test, split.validation):
            names = set(world.names(people))
            theirs = {pair for pair in train if pair[0] in names}
            assert world.history(split, people) == theirs


def test_the_truth_is_a_fifth_of_all_and_the_rest_is_there_by_its_share(world, levels):
    """Binomial: within four standard deviations."""
    n = world.target.nnz
    found = set.union(*truths(world, levels[1.0]))
    assert abs(len(found) - 0.2 * n) < 4 * np.sqrt(0.2 * 0.8 * n)
    for share, halves in levels.items():
        rest = n - len(found)
        count = len(there(world, halves[0]))
        assert abs(count - share * rest) <= 4 * np.sqrt(share * (1 - share) * rest)


def test_a_larger_share_contains_a_smaller_one(world, levels):
    logs = [there(world, halves[0]) for halves in levels.values()]
    assert all(fewer < more for fewer, more in pairwise(logs))


def test_the_truth_is_the_same_at_every_share_but_for_columns_that_are_not_there(world, levels):
    everything = truths(world, levels[1.0])
    for halves in levels.values():
        for split, truth, whole in zip(halves, truths(world, halves), everything, strict=True):
            catalog = set(split.train.items)
            assert truth == {pair for pair in whole if pair[1] in catalog}


def test_those_who_are_tuned_on_keep_back_a_fifth_of_what_is_there(world, levels):
    """Binomial: within four standard deviations, of all who are not tested."""
    tested = [{name for name, _ in truth} for truth in truths(world, levels[1.0])]
    for halves in levels.values():
        for split, others in zip(halves, tested[::-1], strict=True):
            theirs = sum(pair[0] in others for pair in there(world, split))
            kept = len(world.truth(split, split.validation))
            assert abs(kept - 0.2 * theirs) < 4 * np.sqrt(0.2 * 0.8 * theirs)


def test_no_more_people_are_tuned_on_than_may_be(world):
    for split in made(world, share=1.0, validation_people=7):
        assert len(split.validation) == 7
        assert len(split.test) > 7


def test_the_level_is_the_share(levels):
    for share, halves in levels.items():
        assert {split.level for split in halves} == {share}


def test_items_may_be_the_mapped_side(world):
    halves = Launch(0.8).splits(world.target.T, world.target.T, side="items", seed=0)
    assert len(halves[0].test) + len(halves[1].test) == len(world.target.items)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"share": 0.0}, "share must be between 0 and 1, got 0.0"),
        ({"share": 1.1}, "share must be between 0 and 1, got 1.1"),
        ({"truth": 1.0}, "truth must be between 0 and 1, got 1.0"),
    ],
)
def test_shares_out_of_range_are_refused(world, settings, reason):
    with pytest.raises(ValueError, match=reason):
        made(world, **settings)


def test_a_share_with_nothing_to_tune_on_is_an_error_that_says_how_little_it_is(world):
    with pytest.raises(
        AnchorError, match=r"0.0001 of the target log is \d interactions, .* larger"
    ):
        made(world, share=0.0001)

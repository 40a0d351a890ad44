"""Interactions that come after the fit: folded in, learned, or all learned again.

Batches agree to 1e-5, the tolerance that `WarmStart.update` is held to here.
"""

import copy
import threading
import time

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.cpu.lmf import LogisticMatrixFactorization

from coldstart import Interactions, PriorALS, WarmStart
from coldstart.adapters import RidgeAdapter
from coldstart.datasets import make_cross_domain
from coldstart.errors import DataError
from coldstart.serving import solve_believed
from coldstart.threads import one_blas_thread

SIDES = ("users", "items")
TOLERANCE = 1e-5


def quiet(kind, **settings):
    with one_blas_thread():  # implicit warns of anything else
        return kind(**settings)


MODELS = {
    "PriorALS": lambda: PriorALS(6, alpha=5.0, regularization=2.0, rng=0),
    "BPR": lambda: quiet(
        BayesianPersonalizedRanking, factors=6, num_threads=1, iterations=30, random_state=0
    ),
    "LMF": lambda: quiet(
        LogisticMatrixFactorization, factors=6, num_threads=1, iterations=10, random_state=0
    ),
}


class Stream:
    """A catalog of which a part comes later: interactions, people and items."""

    def __init__(self):
        self.source, target = make_cross_domain(
            160, 60, 50, source_interactions=9, target_interactions=8, factors=4, rng=5
        )
        rows, columns = target.user_items.nonzero()
        self.users, self.items = target.users.ids[rows].copy(), target.items.ids[columns]
        self.users[np.isin(self.users, target.users.ids[:4])] += "-new"  # no source knows them
        rng = np.random.default_rng(1)
        late = np.isin(self.users, target.users.ids[4::9]) | np.isin(
            self.items, target.items.ids[::7]
        )
        late |= np.char.endswith(self.users.astype(str), "-new")
        late |= rng.random(len(rows)) < 0.2
        self.first = np.flatnonzero(~late)
        self.later = rng.permutation(np.flatnonzero(late))

    def log(self, which, side="users"):
        frame = pl.DataFrame(
            {"user": self.users[which].tolist(), "item": self.items[which].tolist()}
        )
        found = Interactions.from_frame(frame)
        return found if side == "users" else found.T

    def fit(self, model, side, **settings):
        source = self.source if side == "users" else self.source.T
        given = {"strength": 2.0, "gate": False, "rng": 0, "side": side, **settings}
        warm = WarmStart(model, RidgeAdapter(1.0, normalize=True), **given)
        return warm.fit(source, self.log(self.first, side))


@pytest.fixture(scope="module")
def stream():
    return Stream()


@pytest.fixture(scope="module", params=[(m, s) for m in MODELS for s in SIDES], ids=str)
def case(request, stream):
    name, side = request.param
    return stream.fit(MODELS[name](), side), side


def factors(warm):
    served = warm.served_
    return served.mapped.factors, served.other.factors


def by_id(ours, theirs):
    """What both know, in one order."""
    for one, two in ((getattr(w.served_, s) for w in (ours, theirs)) for s in ("mapped", "other")):
        assert set(one.ids) == set(two.ids)
        yield one.factors[one.ids.rows(two.ids.ids)], two.factors


class TestUpdate:
    def test_ten_batches_are_one(self, case, stream):
        warm, side = case
        one, ten = copy.copy(warm), copy.copy(warm)
        one.update(stream.log(stream.later, side))
        for part in np.array_split(stream.later, 10):
            ten.update(stream.log(part, side))
        for ours, theirs in by_id(one, ten):
            np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)
        asked = one.ids("users")
        np.testing.assert_allclose(
            one.recommend(asked, 5)[1], ten.recommend(asked, 5)[1], atol=1e-4
        )

    def test_known_rows_are_what_they_would_be_with_that_history(self, case, stream):
        """Those whose new columns are known: as `recommend` folds a history in."""
        warm, side = case
        before = warm.served_.mapped
        later = stream.later
        known = np.isin(stream.items[later], list(warm.served_.other.ids))
        known &= np.isin(stream.users[later], list(before.ids))
        served = copy.copy(warm).update(stream.log(later[known], side)).served_.mapped
        rows = np.flatnonzero(np.diff((served.seen != before.seen).indptr))
        assert len(rows) > 10
        expected = before.embed(rows, served.seen[rows], 1)
        np.testing.assert_allclose(served.factors[rows], expected, atol=TOLERANCE)

    def test_vocabularies_grow_and_old_rows_stay(self, case, stream):
        warm, side = case
        news = stream.log(stream.later, side)
        grown = copy.copy(warm).update(news)
        for which in SIDES:
            ours = grown.ids(which)
            assert list(ours)[: len(warm.ids(which))] == list(warm.ids(which))
            assert set(getattr(news, which)) <= set(ours)
        old, new = factors(warm), factors(grown)
        assert np.array_equal(new[1][: len(old[1])], old[1])  # the other side stands still
        untouched = np.diff(grown._fitted.added.indptr)[: len(old[0])] == 0
        assert np.array_equal(new[0][: len(old[0])][untouched], old[0][untouched])
        assert grown._fitted.shape == (len(new[0]), len(new[1]))

    def test_the_model_has_a_row_for_every_id_and_survives_a_file(self, case, stream, tmp_path):
        warm, side = case
        grown = copy.copy(warm).update(stream.log(stream.later, side))
        users, items = (len(grown.ids(which)) for which in SIDES)
        assert grown.model_.user_factors.shape[0] == users
        assert grown.model_.item_factors.shape[0] == items
        grown.save(tmp_path)
        loaded = WarmStart.load(tmp_path)
        more = stream.log(stream.later[:9], side)
        for one in (grown, loaded.update(more), copy.copy(grown).update(more)):
            ids, scores = one.recommend(grown.ids("users"), 4)
            theirs, expected = grown.recommend(grown.ids("users"), 4)
            assert np.array_equal(ids, theirs)
            np.testing.assert_allclose(scores, expected, atol=1e-5)

    def test_what_arrived_is_not_recommended_again(self, case, stream):
        warm, side = case
        grown = copy.copy(warm).update(stream.log(stream.later, side))
        had = stream.log(np.arange(len(stream.users)))
        ask = grown.recommend if side == "users" else grown.audience
        ids, _ = ask(had.users, 5)
        for row, listed in enumerate(ids):
            owned = set(had.items.ids[had.user_items[row].indices])
            assert not owned & set(listed)

    def test_a_source_id_is_its_prior_until_its_first_interaction(self, stream):
        warm = stream.fit(MODELS["PriorALS"](), "users")
        only = next(u for u in stream.source.users if u not in set(stream.users[stream.first]))
        row = warm.ids("users").rows([only])
        item = next(iter(warm.ids("items")))
        grown = copy.copy(warm).update(
            Interactions.from_frame(pl.DataFrame({"user": [only], "item": [item]}))
        )
        expected, _ = warm.recommend([only], 3, history={only: [item]})
        assert grown.recommend([only], 3)[0].tolist() == expected.tolist()
        assert not np.array_equal(factors(grown)[0][row], factors(warm)[0][row])

    def test_what_is_known_already_changes_nothing(self, case, stream):
        warm, side = case
        again = copy.copy(warm).update(stream.log(stream.first, side))
        for ours, theirs in zip(factors(again), factors(warm), strict=True):
            assert np.array_equal(ours, theirs)
        log = stream.log(stream.first, side)
        user, item = log.users.ids[3], log.items.ids[log.user_items[3].indices[0]]
        for ask, who, what in ((warm.recommend, user, item), (warm.audience, item, user)):
            told, _ = ask([who], 5, history={who: [what]})
            assert told.tolist() == ask([who], 5)[0].tolist()

    def test_an_item_without_interactions_stands_at_the_mean_of_all(self, case, stream):
        warm, side = case
        empty = Interactions.from_csr([[0]], users=["nobody"], items=["nothing"])
        grown = copy.copy(warm).update(empty)
        other = grown.served_.other
        new = other.ids.rows(["nothing" if side == "users" else "nobody"])
        old = factors(warm)[1]
        np.testing.assert_allclose(other.factors[new], old.mean(axis=0)[None], atol=1e-5)

    def test_an_object_that_is_no_log_is_refused(self, stream):
        warm = stream.fit(MODELS["PriorALS"](), "users")
        with pytest.raises(TypeError, match="interactions must be Interactions, got dict"):
            warm.update({})
        numbers = Interactions.from_frame(pl.DataFrame({"user": [1], "item": ["t1"]}))
        with pytest.raises(DataError):
            warm.update(numbers)
        with pytest.raises(ValueError, match="not fitted"):
            WarmStart(PriorALS()).update(numbers)


class TestRefit:
    def test_by_nothing_that_matters_nothing_moves(self, case, stream):
        """The present state is the prior: what is already believed stays where it is."""
        warm, side = case
        one = stream.log(stream.first[:1], side)
        again = copy.copy(warm).refit(one)
        ours, theirs = factors(again)[0], factors(warm)[0]
        row = again.ids(side).rows(getattr(one, side).ids)[0]
        rest = np.arange(len(ours)) != row
        assert np.array_equal(ours[rest], theirs[rest])

    def test_precisions_grow_with_what_is_learned(self, case, stream):
        warm, side = case
        parts = np.array_split(stream.later, 3)
        scales = []
        again = copy.copy(warm)
        for part in parts:
            again.refit(stream.log(part, side))
            learned = again._fitted.belief.learned
            ids = dict(zip(again.ids(side), learned.place[:-1], strict=True))
            diagonal = np.diag(learned.prior.shared)
            scales.append({i: learned.prior.precision[p] * diagonal for i, p in ids.items()})
        touched = set(getattr(stream.log(parts[1], side), side)) - set(
            getattr(stream.log(parts[2], side), side)
        )
        grew = [scales[1][i].mean() > scales[0][i].mean() * 0.99 for i in touched if i in scales[0]]
        assert len(grew) > 5
        assert np.mean(grew) > 0.9

    def test_what_was_folded_in_before_is_learned_and_counted_once(self, case, stream):
        """As if all of it had come at once, whether or not it is passed again."""
        warm, side = case
        some, rest = np.array_split(stream.later, 2)
        for news in (rest, stream.later):
            again = copy.copy(warm).update(stream.log(some, side)).refit(stream.log(news, side))
            direct = copy.copy(warm).refit(stream.log(stream.later, side))
            for ours, theirs in by_id(again, direct):
                np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)
            assert again._fitted.added is None

    def test_it_moves_toward_what_all_of_it_says(self, case, stream):
        """Refitted by the later part, liked columns score higher than before, on average."""
        warm, side = case
        again = copy.copy(warm).refit(stream.log(stream.later, side))
        users, items = stream.users[stream.later], stream.items[stream.later]
        known = np.isin(users, list(warm.served_.mapped.ids))
        known &= np.isin(items, list(warm.served_.other.ids))
        assert known.sum() > 30

        def scores(served):
            rows = served.catalog(served.mapped)[served.mapped.ids.rows(users[known])]
            columns = served.catalog(served.other)[served.other.ids.rows(items[known])]
            return np.einsum("nd,nd->n", rows, columns)

        assert scores(again.served_).mean() > scores(warm.served_).mean()

    def test_all_interactions_restart_from_the_prior_of_the_source(self, case, stream):
        warm, side = case
        everything = stream.log(np.arange(len(stream.users)), side)
        direct = copy.copy(warm).refit(all_interactions=everything)
        assert direct._fitted.belief.learned is None
        around = copy.copy(warm).refit(stream.log(stream.later, side))
        around.refit(all_interactions=everything)
        assert around._fitted.belief.learned is None
        prior = direct._fitted.belief.prior.mean[: len(warm._fitted.belief.mapped) - 1]
        assert np.array_equal(prior, warm._fitted.belief.prior.mean[:-1])

    def test_who_is_not_among_all_interactions_is_forgotten(self, case, stream):
        """Their rows are what nobody's interactions say: the prior alone."""
        warm, side = case
        log = stream.log(stream.first, side)
        gone = getattr(log, side).ids[3]
        kept = stream.first[stream.users[stream.first] != gone]
        again = copy.copy(warm).refit(all_interactions=stream.log(kept, side))
        row = again.served_.mapped.ids.rows([gone])
        served = again.served_.mapped
        expected = solve_believed(
            served.belief, row, sp.csr_matrix((1, served.seen.shape[1])), served.loss
        )
        assert np.array_equal(served.factors[row], expected)
        assert not np.array_equal(served.factors[row], factors(warm)[0][row])

    def test_it_survives_a_file_and_goes_on(self, case, stream, tmp_path):
        warm, side = case
        again = copy.copy(warm).refit(stream.log(stream.later[:40], side))
        again.update(stream.log(stream.later[40:60], side)).save(tmp_path)
        loaded = WarmStart.load(tmp_path)
        for one in (again, loaded):
            one.update(stream.log(stream.later[60:], side))
            one.refit(stream.log(stream.later[:5], side))
        for ours, theirs in by_id(again, loaded):
            np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)

    def test_one_of_the_two_is_asked_for(self, case):
        with pytest.raises(ValueError, match="pass either new or all_interactions"):
            case[0].refit()


@pytest.mark.parametrize("alpha", [0.25, 1.0, 5.0])
def test_scores_stay_where_they_are_whatever_confidence_and_news(stream, alpha):
    """Interactions are 1 and their absence 0, so no score is far beyond."""
    warm = stream.fit(PriorALS(6, alpha=alpha, regularization=0.01, rng=0), "users")
    users, items = (list(warm.ids(side)) for side in SIDES)
    liked = np.arange(len(users))[:, None] % 3 == np.arange(len(items)) % 3
    news = Interactions.from_csr(sp.csr_matrix(liked.astype(float)), users=users, items=items)
    for _ in range(3):
        warm.refit(news)
    rows, columns = factors(warm)
    scores = rows @ columns.T
    assert np.abs(scores).max() < 2.5
    assert scores[liked].mean() > scores[~liked].mean() + 0.1


def test_lists_are_right_while_others_update(stream):
    """Eight threads ask while one updates: every answer is that of some state, whole."""
    warm = stream.fit(MODELS["PriorALS"](), "users")
    batches = np.array_split(stream.later, 6)
    asked = list(warm.ids("users"))[:5]
    states = [copy.copy(warm)]
    for batch in batches:
        states.append(copy.copy(states[-1]).update(stream.log(batch)))
    expected = {state.recommend(asked, 5)[1].tobytes() for state in states}
    wrong, done = [], threading.Event()

    def ask():
        while not done.is_set():
            try:
                if warm.recommend(asked, 5)[1].tobytes() not in expected:
                    wrong.append("an answer of no state")
            except Exception as error:
                wrong.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for batch in batches:
        warm.update(stream.log(batch))
        time.sleep(0.05)
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong

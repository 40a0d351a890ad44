"""The harness: popularity by an independent hand, whom arms are compared with, what is reported."""

import json
import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import ndcg_score

from coldstart.adapters import IdentityAdapter
from coldstart.arms import ARMS, Arm
from coldstart.arms.base import TRIALS
from coldstart.datasets import make_cross_domain, read_interactions
from coldstart.errors import AlignmentError, AnchorError
from coldstart.evaluation import DEFAULT_ARMS, arms_for, evaluate
from coldstart.interactions import Interactions
from coldstart.metrics import METRICS
from coldstart.protocols import Cold, Drawn, Launch, Sampled, Temporal
from coldstart.statistics import holm

TOLERANCE = 1e-12  # means of a few dozen numbers in float64
SETTINGS = {"factors": 6, "n": 7, "rng": 4}
SHOTS = (0, 2)
FAR = 1000  # more shots than anybody has interactions
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
THEIRS = {"first": "hit_rate@1", "r_precision": "r-precision", "rbp": "rbp.80"}
RANX = """
import json, sys, ranx
for qrels, run, names in json.load(sys.stdin):
    found = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), list(names.values()))
    print(json.dumps({ours: float(found[theirs]) for ours, theirs in names.items()}))
"""


def frame(catalog):
    """The interactions of a catalog as a table of ids."""
    entries = catalog.user_items.tocoo()
    users, items = catalog.users.ids[entries.row], catalog.items.ids[entries.col]
    return pl.DataFrame({"user": users.tolist(), "item": items.tolist()})


@pytest.fixture(scope="module")
def logs():
    """Synthetic logs as tables give them: ids in ascending order."""
    sizes = {"source_interactions": 14.0, "target_interactions": 9.0}
    drawn = make_cross_domain(260, 90, 70, **sizes, factors=5, target_factors=4, rng=3)
    return tuple(Interactions.from_frame(frame(log)) for log in drawn)


@pytest.fixture(scope="module")
def results(logs):
    return evaluate(*logs, shots=SHOTS, **SETTINGS)


@pytest.fixture(scope="module")
def split(logs):
    return Cold().split(*logs, side="users", seed=SETTINGS["rng"])


def rows_of(results, arm):
    """The rows of one arm, with None for NaN so that equal rows are equal."""
    return [row for row in results.to_json()["rows"] if row["arm"] == arm]


class Fixed:
    """The least an arm can be: one list for everybody."""

    name, uses_source = "in order", True

    def fit(self, task):
        self.row = -np.arange(len(task.train.items), dtype=np.float32)
        return self

    def scorer(self, source, history, shots):
        return lambda block: np.tile(self.row, (block.stop - block.start, 1))

    def settings(self):
        return {}


class Refused(Fixed):
    """An arm for which the catalogs cannot be aligned."""

    name = "refused"

    def fit(self, task):
        raise AlignmentError("they do not align: use anchors")


class Told(Fixed):
    """Somebody has told it what some people will do, after so many shots."""

    uses_source = False

    def __init__(self, name, people, shots):
        self.name, self.shots = name, shots
        self.told = dict(zip(people.source.tolist(), people.held.matrix.toarray(), strict=True))

    def scorer(self, source, history, shots):
        nothing = np.zeros(history.shape[1])
        told = self.told if shots in self.shots else {}
        rows = [told.get(person, nothing) for person in source.tolist()]
        return np.array(rows, np.float32).__getitem__


# Popularity, end to end


def lists_by_popularity(logs, split, shots, *, who, seed, n):
    """Lists and truth of every test person, by polars: the split says who, and what comes back."""
    source, target = map(frame, logs)
    held = [*split.test.held.rows, *split.validation.held.rows]
    train = target.filter(~pl.col("user").is_in(logs[1].users.ids[held].tolist()))
    catalog = train["item"].unique().sort()
    counted = train if who == "all" else train.join(source, on="user", how="semi")
    ties = np.random.default_rng([seed, 1]).permutation(len(catalog))
    ranking = (
        pl.DataFrame({"item": catalog, "tie": ties})
        .join(counted.group_by("item").len(), on="item", how="left")
        .sort(pl.col("len").fill_null(0), pl.col("tie"), descending=[True, False])["item"]
        .to_list()
    )
    history = split.test.held.history(shots)
    lists, truth = {}, {}
    for row, person in enumerate(logs[1].users.ids[split.test.held.rows]):
        seen = {split.train.items.ids[column] for column in history[row].indices}
        bought = target.filter(pl.col("user") == person).join(train, on="item", how="semi")
        truth[person] = [item for item in bought["item"] if item not in seen]
        lists[person] = [item for item in ranking if item not in seen][:n]
    return {person: lists[person] for person in lists if truth[person]}, truth


def test_popularity_equals_an_independent_ranking_measured_by_ranx(logs, split):
    if find_spec("ranx") is None:
        pytest.skip("ranx, the oracle of the metrics, is not installed")
    shots, n, seed = (0, 2, 6), SETTINGS["n"], SETTINGS["rng"]
    results = evaluate(*logs, shots=shots, arms=["popularity"], **SETTINGS)
    counted = results.config["settings"]["popularity"]["counted"]
    asked, people = [], []
    for k in shots:
        lists, truth = lists_by_popularity(logs, split, k, who=counted[k], seed=seed, n=n)
        qrels = {person: dict.fromkeys(truth[person], 1) for person in lists}
        run = {
            person: {item: float(n - place) for place, item in enumerate(ranked)}
            for person, ranked in lists.items()
        }
        asked.append([qrels, run, {name: THEIRS.get(name, f"{name}@{n}") for name in METRICS}])
        people.append(len(lists))
    child = subprocess.run(
        [sys.executable, "-c", RANX],
        input=json.dumps(asked),
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},  # compiling it takes a minute
        capture_output=True,
        text=True,
        check=True,
    )
    assert people[-1] < people[0]  # some people have nothing left to find
    for k, line, count in zip(shots, child.stdout.splitlines(), people, strict=True):
        for name, mean in json.loads(line).items():
            row = results.value("popularity", k, name)
            assert row.mean == pytest.approx(mean, abs=TOLERANCE)
            assert row.users == count


def test_popularity_on_real_logs_equals_an_independent_ranking_measured_by_scikit_learn():
    file = DATA / "yelp" / "interactions.csv.gz"
    if not file.exists():
        pytest.skip(f"no {file}")
    logs = [read_interactions(f"{file}#{name}") for name in ("Restaurants", "Nightlife")]
    results = evaluate(*logs, shots=(0, 1), arms=["popularity"], n=10, rng=1)
    split = Cold().split(*logs, side="users", seed=1)
    for k, who in results.config["settings"]["popularity"]["counted"].items():
        lists, truth = lists_by_popularity(logs, split, k, who=who, seed=1, n=10)
        place = {item: number for number, item in enumerate(split.train.items)}
        relevant, scores = np.zeros((2, len(lists), len(place)))
        for row, (person, ranked) in enumerate(lists.items()):
            relevant[row, [place[item] for item in truth[person]]] = 1
            scores[row, [place[item] for item in ranked]] = np.arange(len(ranked), 0, -1)
        row = results.value("popularity", k, "ndcg")
        assert row.mean == pytest.approx(ndcg_score(relevant, scores, k=10), abs=TOLERANCE)
        assert row.users == len(lists)


# Rows


def test_every_arm_has_every_metric_and_coverage_at_every_number_of_shots(results):
    expected = [
        (arm, k, metric) for arm in DEFAULT_ARMS for k in SHOTS for metric in (*METRICS, "coverage")
    ]
    assert [(row.arm, row.shots, row.metric) for row in results.rows] == expected
    assert {row.n for row in results.rows} == {SETTINGS["n"]}


def test_means_are_shares_and_lie_in_their_intervals(results):
    for row in results.rows:
        assert 0 <= row.mean <= 1
        if row.metric != "coverage":
            assert row.ci_low <= row.mean <= row.ci_high


def test_coverage_has_no_interval(results):
    rows = [row for row in results.to_json()["rows"] if row["metric"] == "coverage"]
    assert len(rows) == len(DEFAULT_ARMS) * len(SHOTS)
    assert all(row["ci_low"] is None and row["ci_high"] is None for row in rows)


def test_one_list_for_everybody_covers_its_share_of_the_catalog(logs, split):
    found = evaluate(*logs, arms=[Fixed()], shots=(0,), **SETTINGS)
    assert found.value("in order", 0, "coverage").mean == SETTINGS["n"] / len(split.train.items)


def test_init_and_cold_are_the_same_tie_at_zero_shots(results, split):
    for metric in (*METRICS, "coverage"):
        cold, init = (results.value(arm, 0, metric) for arm in ("cold", "init"))
        assert init.mean == cold.mean
    tie = results.value("cold", 0, "coverage").mean
    assert tie == SETTINGS["n"] / len(split.train.items)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_rows_are_bitwise_the_same_for_any_number_of_threads(logs, results, num_threads):
    found = evaluate(*logs, shots=SHOTS, num_threads=num_threads, **SETTINGS).to_json()
    expected = results.to_json()
    for part in ("config", "rows", "comparisons"):
        assert found[part] == expected[part]


@pytest.mark.parametrize("arm", ["mean-prior", "warm:ridge"])
def test_an_arms_rows_do_not_depend_on_the_other_arms_or_on_their_order(logs, results, arm):
    found = evaluate(*logs, shots=SHOTS[::-1], arms=[arm, "cold"], **SETTINGS)
    assert rows_of(found, arm) == rows_of(results, arm)


def test_items_of_swapped_logs_are_what_users_are(logs, results):
    swapped = [log.T for log in logs]
    found = evaluate(*swapped, side="items", shots=SHOTS, **SETTINGS)
    assert found.to_json()["rows"] == results.to_json()["rows"]
    assert found.config == {**results.config, "side": "items"}


def test_people_with_nothing_left_to_find_are_left_out_and_the_others_counted(logs, split):
    found = evaluate(*logs, shots=(0, 6, FAR), arms=["popularity", "warm:ridge"], **SETTINGS)
    sizes = np.diff(split.test.held.matrix.indptr)
    for row in found.rows:
        assert row.users == (sizes > row.shots).sum()
    assert 0 < found.value("popularity", 6).users < len(split.test)


def test_without_anybody_to_measure_numbers_are_null(logs):
    found = evaluate(*logs, shots=(FAR,), **SETTINGS).to_json()
    for row in found["rows"]:
        if row["metric"] != "coverage":
            assert (row["mean"], row["ci_low"], row["ci_high"], row["users"]) == (*[None] * 3, 0)
    for row in found["comparisons"]:
        assert row["difference"] is row["p"] is row["p_holm"] is None


# Comparisons


def test_every_other_arm_is_compared_once_with_an_arm_without_a_source(results):
    for k in SHOTS:
        for metric in METRICS:
            family = [row for row in results.comparisons if (row.shots, row.metric) == (k, metric)]
            (baseline,) = {row.baseline for row in family}
            assert not results.config["uses_source"][baseline]
            assert {row.arm for row in family} == set(DEFAULT_ARMS) - {baseline}
            assert len(family) == len(DEFAULT_ARMS) - 1


def test_differences_are_those_of_the_means_and_lie_in_their_intervals(results):
    for row in results.comparisons:
        means = [results.value(arm, row.shots, row.metric).mean for arm in (row.arm, row.baseline)]
        assert row.difference == pytest.approx(means[0] - means[1], abs=TOLERANCE)
        assert row.ci_low <= row.difference <= row.ci_high


def test_p_values_are_corrected_over_the_arms_compared_at_these_shots_in_this_metric(results):
    for k in SHOTS:
        for metric in METRICS:
            family = [row for row in results.comparisons if (row.shots, row.metric) == (k, metric)]
            corrected = holm([row.p for row in family])
            assert [row.p_holm for row in family] == corrected.tolist()
            assert min(row.p for row in family) < min(corrected)


def test_the_baseline_is_chosen_on_validation_people_alone_for_each_number_of_shots(logs, split):
    arms = [
        "popularity",
        Told("told of tests", split.test, SHOTS),
        Told("told of some", split.validation, (0,)),
        Told("told of others", split.validation, (2,)),
    ]
    found = evaluate(*logs, shots=SHOTS, arms=arms, **SETTINGS)
    assert found.value("told of tests", 0).mean == pytest.approx(1.0, abs=TOLERANCE)
    baselines = {(row.shots, row.baseline) for row in found.comparisons}
    assert baselines == {(0, "told of some"), (2, "told of others")}


def test_equal_lists_differ_by_nothing_and_have_p_one(logs):
    found = evaluate(*logs, shots=(0,), arms=["cold", "init"], **SETTINGS)
    for row in found.comparisons:
        assert (row.difference, row.ci_low, row.ci_high) == (0.0, 0.0, 0.0)
        assert row.p == row.p_holm == 1.0


@pytest.mark.parametrize("arms", [["popularity"], [Fixed(), "linear-rows"]])
def test_there_is_nothing_to_compare_without_a_baseline_or_without_another_arm(logs, arms):
    assert evaluate(*logs, shots=(0,), arms=arms, **SETTINGS).comparisons == ()


# Arms of one's own, settings, and what is refused


def test_an_arm_of_ones_own_is_measured_like_the_others(logs, split):
    arm = Fixed()
    assert isinstance(arm, Arm)
    found = evaluate(*logs, shots=(0,), arms=["popularity", arm], **SETTINGS)
    truth = split.test.held.truth(0)[:, : SETTINGS["n"]]
    hit = np.diff(truth.indptr)[np.diff(split.test.held.matrix.indptr) > 0] > 0
    assert found.value("in order", 0, "hit_rate").mean == pytest.approx(hit.mean(), abs=TOLERANCE)
    assert [row.arm for row in found.comparisons] == ["in order"] * len(METRICS)
    assert found.config["settings"]["in order"] == {}


def test_an_arm_that_cannot_align_the_catalogs_is_named_and_changes_nothing_for_the_others(logs):
    """Every order of the arms: the refused one is neither measured nor compared with."""
    alone = evaluate(*logs, shots=(0,), arms=["popularity", Fixed()], **SETTINGS)
    for arms in (["popularity", Refused(), Fixed()], [Refused(), "popularity", Fixed()]):
        found = evaluate(*logs, shots=(0,), arms=arms, **SETTINGS)
        for part in ("rows", "comparisons"):
            assert found.to_json()[part] == alone.to_json()[part]
        assert found.config["arms"] == ["popularity", "in order"]
        assert found.config["unavailable"] == {"refused": "they do not align: use anchors"}
        note = "refused is not available: they do not align: use anchors"
        assert str(found) == f"{alone}\n{note}"
    assert alone.config["unavailable"] == {}


def test_an_arm_whose_library_is_missing_is_left_out_too(logs, monkeypatch):
    monkeypatch.setitem(sys.modules, "ot.gromov", None)
    found = evaluate(*logs, shots=(0,), arms=["popularity", "warm:transport"], **SETTINGS)
    assert "pip install 'coldstart[transport]'" in found.config["unavailable"]["warm:transport"]


class Elsewhere(Fixed):
    """An arm that takes catalogs of different widths for one space."""

    name = "elsewhere"

    def fit(self, task):
        IdentityAdapter().fit(np.ones((3, 2)), np.ones((3, 4)))


def test_an_arm_in_one_space_leaves_the_others_be_where_widths_differ(logs):
    found = evaluate(*logs, shots=(0,), arms=["popularity", Elsewhere()], **SETTINGS)
    assert found.config["arms"] == ["popularity"]
    assert "source is 2 wide but target is 4" in found.config["unavailable"]["elsewhere"]


def test_more_factors_than_the_catalogs_have_directions_do_not_stop_it(logs):
    """100 factors of 90 columns: the source is not projected for one space, and widths agree."""
    arms = ["popularity", "warm:identity"]
    found = evaluate(*logs, shots=(0,), arms=arms, **{**SETTINGS, "factors": 100})
    assert found.config["arms"] == arms


def test_without_any_arm_that_is_available_there_are_no_results(logs):
    with pytest.raises(AlignmentError, match=r"no arm is available \(refused: .*\): add others"):
        evaluate(*logs, shots=(0,), arms=[Refused()], **SETTINGS)


def test_the_configuration_says_what_was_measured(logs, results, split):
    config = results.config
    train = split.train
    assert config["train"] == {
        "rows": len(train.users),
        "columns": len(train.items),
        "interactions": train.nnz,
        "repeated": 0,
    }
    assert config["eligible"] == split.eligible
    assert (config["test"], config["validation"]) == (len(split.test), len(split.validation))
    assert config["test_interactions_outside_catalog"] == split.test.held.dropped.sum()
    assert config["source"]["interactions"] == logs[0].nnz
    assert (config["seed"], config["n"], config["factors"]) == (4, 7, 6)
    assert config["versions"].keys() == {"coldstart", "implicit", "numpy", "scipy", "numba"}
    assert config["settings"].keys() == results.timings.keys() == set(DEFAULT_ARMS)


def test_the_configuration_says_in_which_order_interactions_came_back(logs):
    source, target = logs
    times = np.arange(target.nnz)
    timed = Interactions.from_csr(target.user_items, target.users, target.items, times)
    orders = {
        (timed, "auto"): "time",
        (timed, "time"): "time",
        (timed, "random"): "random",
        (target, "auto"): "random",
    }
    for (log, order), came in orders.items():
        found = evaluate(source, log, shots=(0,), arms=["popularity"], order=order, **SETTINGS)
        assert found.config["order"] == came


def test_shots_are_measured_once_each_in_ascending_order(logs):
    found = evaluate(*logs, shots=np.array([5, 0, 5]), arms=["popularity"], **SETTINGS)
    assert found.config["shots"] == (0, 5)
    assert [row.shots for row in found.rows if row.metric == "ndcg"] == [0, 5]


def test_all_metrics_are_reported_whichever_arms_are_tuned_by(logs):
    found = evaluate(*logs, shots=(0,), arms=["popularity"], metric="recall", **SETTINGS)
    assert found.config["metric"] == "recall"
    assert [row.metric for row in found.rows] == [*METRICS, "coverage"]
    assert str(found).startswith("recall@7 in %")


def test_progress_is_shown_on_stderr_when_asked_for(logs, capfd):
    settings = {"shots": (0,), "arms": ["popularity"], **SETTINGS}
    evaluate(*logs, **settings)
    assert capfd.readouterr() == ("", "")
    evaluate(*logs, show_progress=True, **settings)
    out, err = capfd.readouterr()
    assert out == ""
    assert "arms: 100%" in err


# What is tried, said of people, and drawn


def test_every_arm_has_its_space_and_at_most_so_many_trials_in_the_results(results):
    assert results.config["trials"] == TRIALS == 40
    assert results.trials.keys() == set(DEFAULT_ARMS)
    for told in results.trials.values():
        for shots in {trial["shots"] for trial in told["trials"]}:
            theirs = [trial for trial in told["trials"] if trial["shots"] == shots]
            assert len(theirs) <= TRIALS
            assert sum(trial["chosen"] for trial in theirs) == 1
            assert all(trial["setting"].keys() == told["space"].keys() for trial in theirs)


def test_trials_and_seconds_may_be_fewer(logs):
    arms = ["popularity", "cold", "mean-prior", "neighbours", "joint", "warm:ridge"]
    few = evaluate(*logs, shots=SHOTS, arms=arms, trials=2, **SETTINGS)
    assert few.config["trials"] == 2
    for arm, told in few.trials.items():
        counts = [sum(trial["shots"] == k for trial in told["trials"]) for k in SHOTS]
        assert max(counts) <= 2, arm
    none = evaluate(*logs, shots=SHOTS, arms=arms[:-1], budget=1e-9, **SETTINGS)
    for told in none.trials.values():
        usual = [trial["setting"] for trial in told["trials"]]
        assert usual == [{knob: values[0] for knob, values in told["space"].items()}] * 2
    assert none.config["budget"] == 1e-9


def people_of(results):
    return pl.DataFrame(dict(results.people))


def test_values_of_people_have_the_means_of_the_rows(results):
    people = people_of(results)
    left = people.filter(truth="left")
    for (arm, shots), group in left.group_by("arm", "shots"):
        for metric in METRICS:
            row = results.value(arm, shots, metric)
            assert group[metric].mean() == pytest.approx(row.mean, abs=TOLERANCE)
            assert len(group) == row.users
    assert left.select("arm", "shots").n_unique() == len(DEFAULT_ARMS) * len(SHOTS)
    assert people.schema["person"] == pl.String


def test_the_fixed_truth_has_the_same_people_and_the_means_of_the_curve(results):
    fixed = people_of(results).filter(truth="fixed")
    people = {frozenset(group["person"]) for _, group in fixed.group_by("arm", "shots")}
    assert len(people) == 1
    assert len(*people) == results.findings["users"]
    curve = results.findings["curve"]
    assert len(curve) == len(DEFAULT_ARMS) * len(SHOTS)
    for row in curve:
        theirs = fixed.filter(arm=row["arm"], shots=row["shots"])
        assert theirs["ndcg"].mean() == pytest.approx(row["mean"], abs=TOLERANCE)


def test_gains_are_differences_of_what_the_same_people_are_worth(results):
    fixed = people_of(results).filter(truth="fixed")
    found = results.findings
    for gain in found["gains"]:
        above, below = (
            fixed.filter(arm=arm, shots=gain["shots"]).sort("person")["ndcg"]
            for arm in (found["arm"], gain["baseline"])
        )
        difference = (above - below).to_numpy()
        assert gain["difference"] == pytest.approx(difference.mean(), abs=TOLERANCE)
        assert gain["ratio"] == pytest.approx(above.mean() / below.mean(), rel=1e-9)
        assert gain["effect"] == pytest.approx(difference.mean() / difference.std(ddof=1))
        assert gain["gain"] == pytest.approx((difference > 1e-9).mean(), abs=TOLERANCE)
        assert gain["lose"] == pytest.approx((difference < -1e-9).mean(), abs=TOLERANCE)


def test_comparisons_have_ratios_of_the_means_and_effects(results):
    for row in results.comparisons:
        means = [results.value(arm, row.shots, row.metric).mean for arm in (row.arm, row.baseline)]
        if means[1]:
            assert row.ratio == pytest.approx(means[0] / means[1], rel=1e-9)
            if not math.isnan(row.ratio_low):
                assert row.ratio_low <= row.ratio <= row.ratio_high
        if row.difference:
            assert row.effect * row.difference > 0


def test_every_metric_of_everybody_is_saved_beside_the_results(logs, tmp_path):
    found = evaluate(*logs, shots=(0,), arms=["popularity", "linear-rows"], **SETTINGS)
    found.save(tmp_path)
    saved = pl.read_parquet(tmp_path / "people.parquet")
    assert saved.equals(people_of(found))
    assert saved.columns == ["person", "seed", "level", "arm", "shots", "truth", *METRICS]


def test_splits_that_were_saved_give_the_same_rows(logs, tmp_path):
    settings = {"shots": SHOTS, "arms": ["popularity", "linear-rows"], **SETTINGS}
    found = evaluate(*logs, **settings)
    found.save(tmp_path)
    drawn = Drawn.load(tmp_path / "split.parquet", *logs)
    again = evaluate(*logs, protocol=drawn, **settings)
    for part in ("rows", "comparisons", "findings"):
        assert again.to_json()[part] == found.to_json()[part]
    assert again.config["split"] == found.config["split"] == {"sha256": drawn.sha256}
    other = evaluate(*logs, **{**settings, "rng": 5})
    assert other.config["split"] != found.config["split"]


# Several seeds, and other protocols

QUICK = {"arms": ["popularity", "linear-rows"], **SETTINGS}


def test_of_several_seeds_means_are_averaged_and_people_counted_each_time(logs):
    settings = {"shots": (0, 2), **QUICK}
    both = evaluate(*logs, seeds=2, **settings)
    single = [evaluate(*logs, **{**settings, "rng": rng}) for rng in (4, 5)]
    assert both.config["seeds"] == [4, 5]
    for row in both.rows:
        parts = [one.value(row.arm, row.shots, row.metric) for one in single]
        mean = np.mean([part.mean for part in parts])
        assert row.mean == pytest.approx(mean, abs=TOLERANCE)
        assert row.users <= sum(part.users for part in parts)  # some were in both
        if row.metric != "coverage":
            assert row.ci_low <= row.mean <= row.ci_high
    people = people_of(both)
    assert set(people["seed"]) == {4, 5}
    for seed, one in zip((4, 5), single, strict=True):
        assert people.filter(seed=seed).equals(people_of(one))
    counted = people.filter(truth="left", shots=0, arm="popularity")["person"].n_unique()
    assert both.value("popularity", 0).users == counted == both.config["test"]
    assert both.config["measured"] == sum(one.config["test"] for one in single)
    fixed = people.filter(truth="fixed", shots=0)["person"].n_unique()
    assert both.findings["users"] == fixed
    assert all(0 < row.p <= 1 for row in both.comparisons)


def test_a_launch_has_a_row_for_every_share_and_tests_everybody(logs):
    found = evaluate(*logs, protocol="launch", levels=[0.4, 1.0], **QUICK)
    assert found.config["shots"] == (0,)
    assert found.levels() == [0.4, 1.0] == found.config["levels"]
    assert found.value("popularity", 0) == found.value("popularity", 0, level=1.0)
    for row in found.rows:
        assert row.level in (0.4, 1.0)
    people = people_of(found)
    assert set(people["level"]) == {0.4, 1.0}
    for level in found.levels():
        left = people.filter(level=level, truth="left", arm="popularity")
        row = found.value("popularity", 0, level=level)
        assert left["ndcg"].mean() == pytest.approx(row.mean, abs=TOLERANCE)
        assert left["person"].n_unique() == len(left) == row.users > 0.6 * len(logs[1].users)
    assert [one["level"] for one in found.findings["levels"]] == [0.4, 1.0]
    assert "by the share of the log that is there" in found.findings["sentence"]


def test_without_arms_of_ones_own_a_launch_leaves_out_what_would_have_people_twice():
    assert set(DEFAULT_ARMS) - set(arms_for("launch")) == {"init"}
    assert arms_for("cold") == DEFAULT_ARMS


def test_with_fewer_anchors_only_arms_that_read_them_change(logs):
    found = evaluate(*logs, protocol="anchors", levels=[5, 40], shots=(0,), **QUICK)
    cold = evaluate(*logs, shots=(0,), **QUICK)
    assert found.levels() == [5.0, 40.0]
    few, more = (found.value("linear-rows", 0, level=level).mean for level in (5, 40))
    assert few != more
    for level in (5, 40):
        row = found.value("popularity", 0, level=level)
        assert row.users == cold.value("popularity", 0).users


def test_sampled_figures_are_higher_and_marked_as_biased(logs):
    found = evaluate(*logs, protocol=Sampled(negatives=9), shots=(0, 2), **QUICK)
    cold = evaluate(*logs, shots=(0, 2), **QUICK)
    for arm in QUICK["arms"]:
        assert found.value(arm, 0).mean > 1.2 * cold.value(arm, 0).mean
    assert str(found).startswith("biased: sampled negatives")
    assert "biased" not in str(cold)


def test_at_one_moment_both_logs_are_cut(logs):
    rng = np.random.default_rng(0)
    timed = [
        Interactions(log.user_items, log.users, log.items, rng.integers(0, 900, log.nnz))
        for log in logs
    ]
    found = evaluate(*timed, protocol="temporal", shots=(0, 1), **QUICK)
    (split,) = Temporal().splits(*timed, side="users", seed=SETTINGS["rng"])
    assert found.config["protocol"] == "temporal"
    assert found.config["train"]["interactions"] == split.train.nnz < timed[1].nnz
    counted = np.diff(split.test.held.truth(0).indptr) > 0
    assert found.value("popularity", 0).users == counted.sum()


def test_protocols_may_be_values_and_levels_belong_to_names(logs):
    found = evaluate(*logs, protocol=[Launch(0.5)], **QUICK)
    assert found.levels() == [0.5]
    with pytest.raises(ValueError, match=r"protocols such as Cold\(\) without levels, got Launch"):
        evaluate(*logs, protocol=Launch(0.5), levels=[0.1], **QUICK)
    with pytest.raises(ValueError, match=r"protocol must be a name of cold, .*, got \[\]"):
        evaluate(*logs, protocol=[], **QUICK)
    with pytest.raises(ValueError, match="protocol cold has no levels"):
        evaluate(*logs, levels=[0.1], **QUICK)


def test_the_default_arms_are_known_and_have_an_arm_without_a_source():
    assert set(DEFAULT_ARMS) <= set(ARMS)
    assert not all(ARMS[name]().uses_source for name in DEFAULT_ARMS)


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"arms": ["cold", "colder"]}, ValueError, "unknown arm 'colder': known are popularity, "),
        ({"arms": "cold"}, TypeError, r"arms must be a sequence, got the string 'cold': pass \['c"),
        ({"arms": [Fixed]}, TypeError, "an arm is a name, or an object with name, uses_source, "),
        ({"arms": [3]}, TypeError, "with name, uses_source, fit, scorer and settings, got 3"),
        ({"arms": []}, ValueError, "expected arms of different names, got none"),
        ({"arms": [Fixed(), Fixed()]}, ValueError, "of different names, got in order, in order"),
        ({"metric": "auc"}, ValueError, "unknown metric 'auc': known are ndcg, recall, mrr, hit_"),
        ({"protocol": "hot"}, ValueError, "unknown protocol 'hot': known are cold"),
        ({"side": "both"}, ValueError, 'side must be "users" or "items", got \'both\''),
        ({"shots": ()}, ValueError, r"shots must be whole numbers of at least 0, got \(\)"),
        ({"shots": 3}, ValueError, r"shots must be whole numbers of at least 0, got 3: pass"),
        ({"shots": (0, -1)}, ValueError, r"whole numbers of at least 0, got \(0, -1\)"),
        ({"shots": (0, 1.5)}, ValueError, r"whole numbers of at least 0, got \(0, 1.5\)"),
        ({"shots": (math.nan,)}, ValueError, r"whole numbers of at least 0, got \(nan,\)"),
        ({"shots": "0,1"}, ValueError, "whole numbers of at least 0, got '0,1'"),
        ({"seeds": 0}, ValueError, "seeds must be a whole number of at least 1, got 0"),
        ({"trials": 0}, ValueError, "trials must be a whole number of at least 1, got 0"),
        ({"budget": 0}, ValueError, "budget must be None or a number of seconds above 0, got 0"),
        ({"budget": True}, ValueError, "a number of seconds above 0, got True"),
        ({"n": 0}, ValueError, "n must be a whole number of at least 1, got 0"),
        ({"n": 2.5}, ValueError, "n must be a whole number of at least 1, got 2.5"),
        ({"factors": 0}, ValueError, "factors must be a whole number of at least 1, got 0"),
        ({"rng": None}, ValueError, "rng must be a whole number of at least 0, got None"),
        ({"num_threads": -1}, ValueError, "num_threads must be a whole number of at least 0"),
        ({"test_share": 0}, ValueError, "test_share must be between 0 and 1, got 0"),
        ({"test_share": 0.8}, ValueError, "must leave a tenth of the anchors"),
        ({"order": "time"}, ValueError, 'order="time" needs timestamps'),
        ({"test_share": 0.001}, AnchorError, "which leaves 0 to test or to tune on"),
    ],
)
def test_arguments_out_of_range_are_refused(logs, arguments, error, reason):
    with pytest.raises(error, match=reason):
        evaluate(*logs, **{**SETTINGS, "arms": ["popularity"], **arguments})


def test_protocols_without_levels_are_evaluated_one_by_one(logs):
    with pytest.raises(ValueError, match="evaluate cold, launch one by one"):
        evaluate(*logs, protocol=[Cold(), Launch()], arms=["popularity"], **SETTINGS)


def test_anything_but_interactions_is_refused(logs):
    source, target = logs
    with pytest.raises(TypeError, match="must be Interactions, got csr_matrix"):
        evaluate(source.user_items, target)
    with pytest.raises(TypeError, match="must be Interactions, got CrossDomain"):
        evaluate(source, make_cross_domain(20, 8, 6, source_interactions=3, target_interactions=2))


def test_catalogs_without_anybody_in_common_are_refused(logs):
    source, target = logs
    strangers = Interactions.from_csr(target.user_items, [f"{u}?" for u in target.users])
    with pytest.raises(AnchorError, match="have no users in common"):
        evaluate(source, strangers)


def test_every_number_of_shots_can_be_measured_on_the_same_people():
    source, target = make_cross_domain(n_users=200, rng=1)
    arms = ["popularity", "mean-prior"]
    each, same = (
        evaluate(source, target, arms=arms, factors=4, shots=(0, 5), rng=0, same_people=on)
        for on in (False, True)
    )
    last = each.value("popularity", 5)
    assert each.value("popularity", 0).users > last.users
    assert same.value("popularity", 0).users == same.value("popularity", 5).users == last.users
    assert same.value("popularity", 5) == last
    assert [found.config["same_people"] for found in (each, same)] == [False, True]


def test_one_factor_is_enough():
    source, target = make_cross_domain(n_users=200, rng=1)
    arms = ["cold", "mean-prior", "joint", "init", "warm:ridge"]
    results = evaluate(source, target, arms=arms, factors=1, shots=(0, 1), rng=0)
    assert all(np.isfinite(results.value(arm, 1).mean) for arm in arms)

"""The command line does the main job, and says in one line why where it cannot."""

import gzip
import json
import os
import signal
import struct
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from threading import Thread

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from coldstart import Interactions, WarmStart, cli, diagnose
from coldstart import asked as asked_ids
from coldstart.datasets import make_cross_domain, read_interactions

COMMAND = [sys.executable, "-m", "coldstart"]
SMALL = ["--factors", "8", "--threads", "1"]


def invoke(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def succeed(*arguments) -> str:
    """What a command that works prints."""
    done = invoke(*arguments)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def fail(code: int, *arguments) -> str:
    """The reason, in its one line, why a command does not work."""
    done = invoke(*arguments)
    reasons = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr.endswith(f"{reasons[0]}\n")
    assert len(reasons) == 1
    assert "Traceback" not in done.stderr
    return reasons[0]


def fail_later(code: int, *arguments) -> str:
    """The reason why a command does not work, after notes."""
    done = invoke(*arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    return done.stderr.splitlines()[-1]


def content(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, byte by byte."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def rows_of(log: Interactions, domain: str) -> pl.DataFrame:
    entries = log.user_items.tocoo()
    columns = {"user": log.users.ids[entries.row], "item": log.items.ids[entries.col]}
    return pl.DataFrame(columns).select(pl.lit(domain).alias("domain"), pl.all().cast(pl.String))


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    """Two domains in one file, with 240 people in both."""
    source, target = make_cross_domain(
        300, 90, 70, source_interactions=14, target_interactions=9, rng=1
    )
    path = tmp_path_factory.mktemp("data") / "log.csv"
    pl.concat([rows_of(source, "music"), rows_of(target, "book")]).write_csv(path)
    return path


@pytest.fixture(scope="module")
def both(log) -> list[str]:
    return ["--source", f"{log}#music", "--target", f"{log}#book", *SMALL]


@pytest.fixture(scope="module")
def model(both, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fitted") / "model"
    succeed("fit", *both, "--out", folder)
    return folder


@pytest.fixture(scope="module")
def warm(model) -> WarmStart:
    return WarmStart.load(model)


@pytest.fixture(scope="module")
def numbered(log, tmp_path_factory) -> Path:
    """A model whose ids are integers."""
    folder = tmp_path_factory.mktemp("numbered")
    frame = pl.read_csv(log)
    for domain in ("music", "book"):
        ids = pl.col("user", "item").str.slice(1).cast(pl.Int64)
        part = frame.filter(domain=domain).with_columns(ids)
        part.write_parquet(folder / f"{domain}.parquet")
    both = ["--source", folder / "music.parquet", "--target", folder / "book.parquet"]
    succeed("fit", *both, *SMALL, "--out", folder / "model")
    return folder / "model"


@pytest.fixture
def ids(tmp_path) -> Path:
    path = tmp_path / "ids.txt"
    path.write_text("".join(f"u{number}\n" for number in range(20, 3, -1)))
    return path


@pytest.fixture
def history(tmp_path) -> Path:
    path = tmp_path / "history.csv"
    path.write_text("user,item\nnewcomer,t1\nu7,t3\nnewcomer,t2\nsomebody,t5\n")
    return path


ARMS = ("popularity", "mean-prior", "warm:ridge")


@pytest.fixture(scope="module")
def done(both, tmp_path_factory):
    """What an evaluation printed, the results it wrote, and where."""
    out = tmp_path_factory.mktemp("results") / "new" / "folder"
    done = invoke("evaluate", *both, "--arms", ",".join(ARMS), "--shots=0,1", "--out", out)
    assert done.exit_code == 0, done.stderr
    return done, json.loads((out / "results.json").read_text()), out


class TestEvaluate:
    def test_results_have_the_pinned_schema(self, done):
        _, results, _ = done
        pinned = {"schema", "config", "rows", "comparisons", "timings"}
        added = {"findings", "gate", "hygiene", "examples", "mixed", "trials"}
        assert set(results) == pinned | added
        fields = {"arm", "shots", "metric", "n", "mean", "ci_low", "ci_high", "users"}
        assert all(set(row) == fields for row in results["rows"])
        assert {(row["arm"], row["shots"]) for row in results["rows"]} == {
            (arm, shots) for arm in ARMS for shots in (0, 1)
        }

    def test_results_say_from_which_files_they_are(self, done, log):
        _, results, _ = done
        assert results["config"]["files"] == {"source": f"{log}#music", "target": f"{log}#book"}

    def test_nothing_but_the_results_and_the_page_is_written(self, done):
        _, _, out = done
        names = sorted(path.name for path in out.iterdir())
        assert names == ["people.parquet", "report.html", "results.json", "split.parquet"]

    def test_the_verdict_comes_first_and_stands_on_the_page(self, done):
        run, results, out = done
        sentence = results["findings"]["sentence"]
        assert run.stdout.splitlines()[0] == sentence
        assert sentence.startswith("Someone with no history in book ")
        page = (out / "report.html").read_text()
        assert all(part in page for part in sentence.removesuffix(".").split("; "))

    def test_the_table_shows_the_mean_and_interval_of_every_arm(self, done):
        run, results, _ = done
        lines = run.stdout.splitlines()
        for row in results["rows"]:
            if row["metric"] == "ndcg":
                mean, low, high = (100 * row[name] for name in ("mean", "ci_low", "ci_high"))
                cell = f"{mean:.1f} [{low:.1f},{high:.1f}]"
                assert any(row["arm"] in line and cell in line for line in lines)

    def test_the_table_marks_who_learns_from_the_source(self, done):
        run, _, _ = done
        assert "warm:ridge *" in run.stdout
        assert "mean-prior *" not in run.stdout

    def test_the_table_shows_every_comparison(self, done):
        run, results, _ = done
        lines = [line.split() for line in run.stdout.splitlines()]
        for row in results["comparisons"]:
            if row["metric"] == "ndcg":
                start = [str(row["shots"]), row["arm"], row["baseline"]]
                difference = f"{100 * row['difference']:+.1f}"
                assert [*start, difference] in [words[:4] for words in lines]

    def test_notes_and_sizes_go_to_stderr(self, done):
        run, _, out = done
        source, target, wrote, page = run.stderr.splitlines()
        assert source.startswith("source: 270 users x 90 items, ")
        assert target.startswith("target: 270 users x 70 items, ")
        beside = "and people.parquet and split.parquet beside it"
        assert wrote == f"wrote {out / 'results.json'}, {beside}"
        assert page == f"wrote {out / 'report.html'}"

    def test_the_same_seed_gives_the_same_rows_and_another_seed_others(self, both, tmp_path):
        rows = []
        for number, seed in enumerate([3, 3, 4]):
            out = tmp_path / str(number)
            options = "--arms=popularity", "--shots=0", "--seed", seed, "--out", out
            succeed("evaluate", *both, *options)
            rows.append(json.loads((out / "results.json").read_text())["rows"])
        assert rows[0] == rows[1] != rows[2]

    def test_the_same_split_is_taken_from_a_file(self, done, both, tmp_path):
        _, results, out = done
        options = "--arms=popularity,mean-prior", "--shots=0,1", "--seed=7", "--out", tmp_path
        succeed("evaluate", *both, *options, "--split", out / "split.parquet")
        again = json.loads((tmp_path / "results.json").read_text())
        assert again["config"]["split"] == results["config"]["split"]
        assert [row["users"] for row in again["rows"]] == [
            row["users"] for row in results["rows"] if row["arm"] != "warm:ridge"
        ]

    def test_a_split_of_other_logs_is_refused(self, done, both, log):
        _, _, out = done
        swapped = ["--source", f"{log}#book", "--target", f"{log}#music"]
        words = fail_later(1, "evaluate", *swapped, "--split", out / "split.parquet")
        assert "take split.parquet of a run on the same two logs" in words

    def test_protocols_levels_trials_seeds_and_titles_reach_the_evaluation(self, both, tmp_path):
        titles = tmp_path / "titles.csv"
        titles.write_text("item,title\n" + "".join(f"t{n},Book {n}\n" for n in range(70)))
        options = ["--protocol=anchors", "--levels=20,50", "--trials=2", "--seeds=2", "--budget=60"]
        arms = "--arms=popularity,mean-prior,neighbours"
        more = "--shots=0", arms, "--titles", titles, "--out", tmp_path
        printed = succeed("evaluate", *both, *options, *more)
        results = json.loads((tmp_path / "results.json").read_text())
        config = results["config"]
        assert (config["protocol"], config["levels"], config["seeds"]) == (
            "anchors",
            [20, 50],
            [0, 1],
        )
        assert (config["trials"], config["budget"]) == (2, 60)
        assert {row["level"] for row in results["rows"]} == {20, 50}
        for tried in results["trials"].values():  # two levels and two seeds
            sittings = [trial["sitting"] for trial in tried["trials"]]
            assert sittings == [0, 0, 1, 1, 2, 2, 3, 3]
        assert results["examples"][0]["truth"][0].startswith("Book ")
        assert "people in both catalogs: 20" in printed

    def test_sampled_figures_are_marked_as_biased_wherever_they_are_shown(self, both, tmp_path):
        from coldstart.evaluation import evaluate
        from coldstart.protocols import Sampled
        from coldstart.results import SAMPLED

        logs = (read_interactions(path) for path in (both[1], both[3]))
        found = evaluate(
            *logs, protocol=Sampled(negatives=20), arms=["popularity"], shots=(0,), factors=4
        )
        assert str(found).startswith(SAMPLED)
        found.save(tmp_path)
        invoke("report", tmp_path / "results.json")
        assert "iased" in (tmp_path / "report.html").read_text()
        assert SAMPLED in found.warnings()

    def test_options_reach_the_evaluation(self, both, tmp_path):
        options = ["--side=items", "--holdout=0.3", "--order=random", "--n=7", "--metric=recall"]
        twins = pl.read_csv(both[1].rpartition("#")[0]).with_columns(domain=pl.lit("twin"))
        twins.write_csv(tmp_path / "twin.csv")
        log = ["--source", both[1], "--target", tmp_path / "twin.csv"]
        succeed(
            *("evaluate", *log, *SMALL, *options, "--arms", " popularity , mean-prior"),
            *("--shots", "2,0", "--seed=5", "--out", tmp_path),
        )
        config = json.loads((tmp_path / "results.json").read_text())["config"]
        assert (config["side"], config["test_share"], config["order"]) == ("items", 0.3, "random")
        assert (config["n"], config["metric"], config["factors"]) == (7, "recall", 8)
        assert (config["shots"], config["seed"]) == ([0, 2], 5)
        assert config["arms"] == ["popularity", "mean-prior"]

    def test_where_nobody_has_anything_left_to_find_the_file_has_null_and_the_table_a_dash(
        self, both, tmp_path
    ):
        arms = ["--arms=popularity,mean-prior", "--shots=500"]
        shown = succeed("evaluate", *both, *arms, "--out", tmp_path)
        rows = json.loads((tmp_path / "results.json").read_text())["rows"]
        assert all(row["mean"] is None for row in rows if row["metric"] == "ndcg")
        lines = [line.split() for line in shown.splitlines()]
        assert ["popularity", "-"] in lines
        assert any(words[:1] == ["500"] and words[-2:] == ["-", "-"] for words in lines)

    def test_columns_can_be_named(self, log, tmp_path):
        frame = pl.read_csv(log).rename({"user": "who", "item": "what", "domain": "shop"})
        path = tmp_path / "log.tsv"
        frame.with_columns(stars=3.0, day=pl.int_range(pl.len())).write_csv(path, separator="\t")
        names = ["--user=who", "--item=what", "--domain=shop", "--weight=stars", "--timestamp=day"]
        both = ["--source", f"{path}#music", "--target", f"{path}#book"]
        options = "--arms=popularity", "--shots=1", "--order=time", "--out", tmp_path
        succeed("evaluate", *both, *SMALL, *names, *options)
        config = json.loads((tmp_path / "results.json").read_text())["config"]
        assert config["order"] == "time"

    def test_repeated_pairs_are_reported(self, log, tmp_path):
        frame = pl.read_csv(log)
        pl.concat([frame, frame.head(5)]).write_csv(tmp_path / "log.csv")
        path = tmp_path / "log.csv"
        both = ["--source", f"{path}#music", "--target", f"{path}#book"]
        done = invoke("evaluate", *both, *SMALL, "--arms=popularity", "--shots=0")
        assert ", 5 repeated pairs merged\n" in done.stderr

    def test_one_catalog_twice_is_remarked(self, log):
        both = ["--source", f"{log}#music", "--target", f"{log}#music"]
        done = invoke("evaluate", *both, *SMALL, "--arms=popularity", "--shots=0")
        assert f"note: source and target are the same: {log}#music" in done.stderr

    def test_without_files_the_catalogs_are_synthetic_and_it_says_so(self, tmp_path):
        done = invoke("evaluate", "--arms=popularity", "--shots=0", "--seed=2", "--out", tmp_path)
        assert done.exit_code == 0, done.stderr
        assert "synthetic catalogs of seed 2" in done.stderr
        config = json.loads((tmp_path / "results.json").read_text())["config"]
        assert config["files"] == {"source": None, "target": None}


@pytest.fixture(scope="module")
def raced(both, tmp_path_factory):
    """What a benchmark printed, the results it wrote, and where."""
    out = tmp_path_factory.mktemp("raced") / "new"
    done = invoke("benchmark", *both, "--shots=2", "--metric=recall", "--seed=4", "--out", out)
    assert done.exit_code == 0, done.stderr
    return done, json.loads((out / "benchmark.json").read_text()), out


class TestReport:
    def test_the_page_is_written_again_byte_for_byte(self, done, tmp_path):
        _, _, out = done
        run = invoke("report", out / "results.json", "--out", tmp_path / "again")
        assert (run.exit_code, run.stdout) == (0, "")
        assert run.stderr == f"wrote {tmp_path / 'again' / 'report.html'}\n"
        pages = [folder / "report.html" for folder in (out, tmp_path / "again")]
        assert pages[0].read_bytes() == pages[1].read_bytes()

    def test_what_are_no_results_is_told(self, tmp_path):
        path = tmp_path / "results.json"
        assert "cannot read results from" in fail(1, "report", path)
        path.write_text('{"schema": 1}')
        assert "holds no results: it lacks" in fail(1, "report", path)


class TestCompare:
    def test_a_run_and_itself_differ_by_nothing_with_p_one(self, done):
        _, _, out = done
        path = out / "results.json"
        found = json.loads(succeed("compare", path, path, "--json"))
        assert len(found["pairs"]) == len(ARMS) * 2
        for pair in found["pairs"]:
            assert (pair["difference"], pair["p"], pair["p_holm"]) == (0, 1, 1)
        assert found["notes"] == []
        assert "of 30 and 30" in succeed("compare", path, path)

    def test_without_people_it_says_what_writes_them(self, done, tmp_path):
        _, _, out = done
        copy = tmp_path / "results.json"
        copy.write_bytes((out / "results.json").read_bytes())
        reason = fail(1, "compare", out / "results.json", copy)
        assert "coldstart evaluate --out writes beside results.json" in reason


class TestBenchmark:
    def test_the_table_shows_both_sides_and_the_curves_their_way(self, raced):
        run, results, _ = raced
        lines = run.stdout.splitlines()
        for point in results["warm"]:
            mean, low, high = (100 * point[name] for name in ("quality", "ci_low", "ci_high"))
            cell = f"{mean:.1f} [{low:.1f},{high:.1f}]"
            assert any(line.split()[:1] == [str(point["shots"])] and cell in line for line in lines)
            for side in ("cold", "warm"):
                start = f"{side}, shots {point['shots']:>3} |"
                assert any(line.startswith(start) for line in lines)
        assert "interactions until the cold side is as good" in run.stdout

    def test_options_reach_the_benchmark_and_the_file(self, raced, log):
        run, results, out = raced
        config = results["config"]
        assert (config["metric"], config["shots"], config["seed"]) == ("recall", [0, 2], 4)
        assert config["files"] == {"source": f"{log}#music", "target": f"{log}#book"}
        assert run.stderr.endswith(f"wrote {out / 'benchmark.json'}\n")

    def test_one_log_alone_is_wrong_usage(self, both):
        assert "both --source and --target" in fail(2, "benchmark", *both[:2])


class TestDiagnose:
    def test_the_diagnosis_is_printed(self, both, log):
        found = diagnose(
            *(read_interactions(f"{log}#{name}") for name in ("music", "book")), factors=8
        )
        done = invoke("diagnose", *both)
        assert (done.exit_code, done.stdout) == (0, f"{found}\n")
        assert [line[:7] for line in done.stderr.splitlines()] == ["source:", "target:"]

    def test_json_is_one_document_with_null_for_what_is_not_known(self, both):
        shown = succeed("diagnose", *both, "--json", "--seed=3")
        values = json.loads(shown, parse_constant=pytest.fail)
        assert (values["side"], values["factors"], values["seed"]) == ("users", 8, 3)
        assert values["anchors"] == 240

    def test_options_and_columns_reach_it(self, log, tmp_path):
        frame = pl.read_csv(log).rename({"user": "what", "item": "who", "domain": "shop"})
        frame.write_csv(tmp_path / "log.csv")
        both = [f"--source={tmp_path / 'log.csv'}#music", f"--target={tmp_path / 'log.csv'}#book"]
        names = ["--user=who", "--item=what", "--domain=shop", "--side=items"]
        values = json.loads(succeed("diagnose", *both, *SMALL, *names, "--json"))
        assert (values["side"], values["anchors"]) == ("items", 240)

    def test_without_files_the_catalogs_are_synthetic_and_it_says_so(self, monkeypatch):
        small = make_cross_domain(60, 50, 40, source_interactions=8)
        monkeypatch.setattr("coldstart.datasets.make_cross_domain", lambda rng: small)
        done = invoke("diagnose", *SMALL)
        assert done.exit_code == 0, done.stderr
        assert done.stderr == "no --source and --target: synthetic catalogs of seed 0\n"
        assert done.stdout.startswith("Crossing is ")

    def test_catalogs_without_anchors_fail_in_one_line(self, log, tmp_path):
        frame = pl.read_csv(log).with_columns(user="x" + pl.col("user"))
        frame.write_csv(tmp_path / "other.csv")
        both = [f"--source={log}#music", f"--target={tmp_path / 'other.csv'}#book"]
        assert "no users in common" in fail(1, "diagnose", *both, *SMALL)

    def test_one_log_alone_is_wrong_usage(self, both):
        assert "both --source and --target" in fail(2, "diagnose", *both[:2])


class TestFit:
    def test_the_report_is_printed(self, both, tmp_path):
        shown = succeed("fit", *both, "--adapter=mean", "--out", tmp_path / "model")
        assert shown == f"{WarmStart.load(tmp_path / 'model').report_}\n"

    def test_the_side_is_whose_ids_of_the_source_can_be_asked_for(self, log, tmp_path):
        frame = pl.read_csv(log).with_columns(pl.col("item").str.replace("s|t", "i"))
        frame.write_csv(tmp_path / "log.csv")
        both = [f"--source={tmp_path / 'log.csv'}#music", f"--target={tmp_path / 'log.csv'}#book"]
        succeed("fit", *both, *SMALL, "--side=items", "--out", tmp_path / "model")
        warm = WarmStart.load(tmp_path / "model")
        assert (warm.side, len(warm.ids("items")), len(warm.ids("users"))) == ("items", 90, 270)

    def test_fewer_anchors_than_factors_work_with_a_warning_in_the_report(self, log, tmp_path):
        frame = pl.read_csv(log)
        few = pl.col("domain").eq("book") | pl.col("user").is_in(
            [f"u{number}" for number in range(9)]
        )
        frame.filter(few).write_csv(tmp_path / "log.csv")
        both = [f"--source={tmp_path / 'log.csv'}#music", f"--target={log}#book"]
        shown = succeed("fit", *both, *SMALL, "--out", tmp_path / "model")
        assert "Warning: " in shown
        assert "fewer than the 7 source factors" in shown


class TestRecommend:
    @pytest.fixture
    def asked(self, model, ids):
        return ["recommend", "--model", model, "--ids", ids, "--threads=1"]

    @staticmethod
    def lists(ids, found, scores, names=("user", "item")):
        """What `WarmStart` answers, as the command writes it."""
        rows = [
            (key, rank, item, score)
            for key, items, values in zip(ids, found.tolist(), scores, strict=True)
            for rank, (item, score) in enumerate(zip(items, values, strict=True), start=1)
            if item is not None
        ]
        names = [names[0], "rank", names[1], "score"]
        return pl.DataFrame(rows, names, orient="row").cast({"rank": pl.Int32, "score": pl.Float32})

    def test_the_lists_are_those_of_the_model_in_the_order_of_the_ids(self, asked, ids, warm):
        people = ids.read_text().split()
        shown = pl.read_csv(succeed(*asked, "--n=4").encode())
        expected = self.lists(people, *warm.recommend(people, 4))
        assert shown.columns == ["user", "rank", "item", "score"]
        assert shown.cast(expected.schema).equals(expected)

    @pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".CSV", ".ndjson"])
    def test_a_file_holds_the_same_lists(self, suffix, asked, ids, warm, tmp_path):
        people = ids.read_text().split()
        expected = self.lists(people, *warm.recommend(people, 10))
        out = tmp_path / "new" / f"lists{suffix}"
        assert succeed(*asked, "--out", out) == ""
        if suffix == ".parquet":
            assert pl.read_parquet(out).equals(expected)
        elif suffix == ".ndjson":
            assert pl.read_ndjson(out, schema=expected.schema).equals(expected)
        else:
            separator = "\t" if suffix == ".tsv" else ","
            assert pl.read_csv(out, separator=separator, schema=expected.schema).equals(expected)
        assert [path.name for path in out.parent.iterdir()] == [out.name]

    @pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl"])
    def test_blocks_of_ids_do_not_show(self, suffix, asked, history, tmp_path, monkeypatch):
        options = ["--history", history, "--missing=popular"]
        succeed(*asked, *options, "--out", tmp_path / f"whole{suffix}")
        monkeypatch.setattr(asked_ids, "IDS_AT_ONCE", 3)
        succeed(*asked, *options, "--out", tmp_path / f"blocks{suffix}")
        readers = {".parquet": pl.read_parquet, ".jsonl": pl.read_ndjson}
        read = readers.get(suffix, pl.read_csv)
        assert read(tmp_path / f"whole{suffix}").equals(read(tmp_path / f"blocks{suffix}"))

    def test_ids_come_out_of_json_lines_and_pipes(self, asked, ids, model, tmp_path):
        expected, people = succeed(*asked), ids.read_text().split()
        (tmp_path / "people.jsonl").write_text("".join(f'{{"user": "{u}"}}\n' for u in people))
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        writer = Thread(target=pipe.write_bytes, args=(ids.read_bytes(),))
        writer.start()
        for given in (tmp_path / "people.jsonl", pipe):
            assert succeed("recommend", "--model", model, "--ids", given) == expected
        writer.join()
        (tmp_path / "people.jsonl").write_text('{"person": "u1"}\n')
        shown = fail(1, "recommend", "--model", model, "--ids", tmp_path / "people.jsonl")
        assert 'every line must be a JSON object with "user" in it' in shown

    def test_the_file_of_ids_is_not_replaced(self, model, tmp_path):
        ids = tmp_path / "people.csv"
        ids.write_text("user\nu1\n")
        shown = fail(2, "recommend", "--model", model, "--ids", ids, "--out", ids)
        assert "is the file of --ids, choose another" in shown
        assert ids.read_text() == "user\nu1\n"

    def test_an_existing_file_is_replaced(self, asked, tmp_path):
        out = tmp_path / "lists.csv"
        out.write_text("old")
        succeed(*asked, "--out", out)
        assert out.read_text().startswith("user,rank,item,score\n")

    def test_an_audience_is_users_for_items(self, model, tmp_path, warm):
        (tmp_path / "items.txt").write_text("t9\nt2\n")
        (tmp_path / "history.csv").write_text("user,item\nu3,t9\n")
        shown = succeed(
            *("recommend", "--model", model, "--ids", tmp_path / "items.txt", "--audience"),
            *("--n=6", "--history", tmp_path / "history.csv"),
        )
        answer = warm.audience(["t9", "t2"], 6, history={"t9": ["u3"]})
        expected = self.lists(["t9", "t2"], *answer, names=("item", "user"))
        assert pl.read_csv(shown.encode(), schema=expected.schema).equals(expected)

    def test_a_history_serves_people_whom_nobody_knows(self, model, history, tmp_path, warm):
        (tmp_path / "ids.csv").write_text("user,item\nnewcomer,x\nu7,y\nnewcomer,z\n")
        asked = ["recommend", "--model", model, "--ids", tmp_path / "ids.csv", "--n=5"]
        done = invoke(*asked, "--history", history)
        told = {"newcomer": ["t1", "t2"], "u7": ["t3"]}
        expected = self.lists(told, *warm.recommend(list(told), 5, history=told))
        assert pl.read_csv(done.stdout.encode(), schema=expected.schema).equals(expected)
        assert done.stderr == "history of 1 ids left out: they are not asked for\n"

    def test_unknown_ids_get_what_is_popular_where_that_is_asked_for(self, model, tmp_path, warm):
        (tmp_path / "ids.txt").write_text("u1\nnobody\n")
        asked = ["recommend", "--model", model, "--ids", tmp_path / "ids.txt"]
        done = invoke(*asked, "--missing=popular")
        answer = warm.recommend(["u1", "nobody"], missing="popular")
        expected = self.lists(["u1", "nobody"], *answer)
        assert pl.read_csv(done.stdout.encode(), schema=expected.schema).equals(expected)
        assert "1 of 2 ids unknown to the model, such as 'nobody': they are served" in done.stderr

    def test_unknown_items_of_a_history_are_left_out_where_that_is_asked_for(
        self, model, tmp_path, warm
    ):
        (tmp_path / "ids.txt").write_text("u1\n")
        (tmp_path / "history.csv").write_text("user,item\nu1,t4\nu1,nothing\n")
        asked = ["recommend", "--model", model, "--ids", tmp_path / "ids.txt"]
        done = invoke(*asked, "--history", tmp_path / "history.csv", "--missing=popular")
        expected = self.lists(["u1"], *warm.recommend(["u1"], history={"u1": ["t4"]}))
        assert pl.read_csv(done.stdout.encode(), schema=expected.schema).equals(expected)
        assert "1 of 2 ids unknown to the model, such as 'nothing'" in done.stderr

    @pytest.mark.parametrize(
        "text", ["u5\nu4\nu5\n", "u5\r\nu4\r\n", "\ufeffu5\n\nu4", "u5\nu4\n\n"]
    )
    def test_ids_stand_one_per_line_and_are_served_once(self, text, asked, ids):
        ids.write_bytes(text.encode())
        shown = pl.read_csv(succeed(*asked, "--n=1").encode())
        assert shown["user"].to_list() == ["u5", "u4"]

    def test_ids_may_be_a_column_of_a_table(self, model, tmp_path):
        table = pl.DataFrame({"who": ["u5", "u4", "u5"], "where": [1, 2, 3]})
        table.write_csv(tmp_path / "ids.csv")
        table.write_csv(tmp_path / "ids.tsv", separator="\t")
        (tmp_path / "ids.csv.gz").write_bytes(gzip.compress((tmp_path / "ids.csv").read_bytes()))
        table.write_parquet(tmp_path / "ids.parquet")
        for path in tmp_path.iterdir():
            asked = "recommend", "--model", model, "--ids", path, "--user=who", "--n=1"
            assert pl.read_csv(succeed(*asked).encode())["user"].to_list() == ["u5", "u4"]

    def test_text_is_read_as_numbers_where_ids_are_numbers(self, numbered, tmp_path):
        (tmp_path / "ids.txt").write_text("7\n1000\n007\n")
        (tmp_path / "history.csv").write_text("user,item\n1000,3\n1000,4\n")
        shown = succeed(
            *("recommend", "--model", numbered, "--ids", tmp_path / "ids.txt"),
            *("--history", tmp_path / "history.csv", "--out", tmp_path / "lists.parquet"),
        )
        lists = pl.read_parquet(tmp_path / "lists.parquet")
        assert shown == ""
        assert lists.schema["user"] == lists.schema["item"] == pl.Int64
        assert lists["user"].unique(maintain_order=True).to_list() == [7, 1000]

    def test_text_that_is_no_number_is_an_error_where_ids_are_numbers(self, numbered, ids):
        reason = fail(1, "recommend", "--model", numbered, "--ids", ids)
        assert reason == f"error: {ids}: ids are integers here, got 'u20'"

    def test_numbers_are_an_error_where_ids_are_strings(self, model, tmp_path):
        path = tmp_path / "ids.parquet"
        pl.DataFrame({"user": [7, 8]}).write_parquet(path)
        reason = fail(1, "recommend", "--model", model, "--ids", path)
        assert "ids are integers, such as 7, but strings in the model, such as 'u" in reason

    def test_ids_that_need_quotes_come_back_as_they_were(self, log, tmp_path):
        odd = 'a "b",\tc'
        frame = pl.read_csv(log).with_columns(pl.col("user").replace("u9", odd))
        frame.write_csv(tmp_path / "log.csv")
        both = [f"--source={tmp_path / 'log.csv'}#music", f"--target={tmp_path / 'log.csv'}#book"]
        succeed("fit", *both, *SMALL, "--adapter=mean", "--out", tmp_path / "model")
        (tmp_path / "ids.txt").write_text(f"{odd}\n")
        asked = ["recommend", "--model", tmp_path / "model", "--ids", tmp_path / "ids.txt"]
        for name, separator in {"lists.csv": ",", "lists.tsv": "\t"}.items():
            succeed(*asked, "--n=1", "--out", tmp_path / name)
            lists = pl.read_csv(tmp_path / name, separator=separator)
            assert lists["user"].to_list() == [odd]


HEADER = "domain,user,item,stars\n"
BAD_FILES = {
    "missing": ("none.csv", None, "there is no such file"),
    "empty": ("log.csv", b"", "the file is empty"),
    "only a header": ("log.csv", HEADER.encode(), "a header but no rows"),
    "wrong columns": ("log.csv", b"domain,person,item\nbook,a,b\n", "the columns are 'domain', 'p"),
    "unknown domain": ("log.csv", f"{HEADER}film,a,b,1\ngame,a,b,1\n".encode(), "'film', 'game'"),
    "no domains": ("log.csv", b"user,item,stars\na,b,1\n", "there is no column 'domain'"),
    "unknown type": ("log.xlsx", b"PK", "unknown type of file"),
    "cut short": ("log.csv.gz", gzip.compress(HEADER.encode() * 99)[:-9], "cut short"),
    "not gzip": ("log.csv.gz", HEADER.encode(), "not gzip"),
    "not UTF-8": ("log.csv", f"{HEADER}book,\u00e4,b,1\n".encode("latin-1"), "not UTF-8"),
    "not Parquet": ("log.parquet", b"no", "no valid parquet"),
    "weight NaN": ("log.csv", f"{HEADER}book,a,b,nan\n".encode(), "1 of 1 weights are NaN"),
    "weight inf": ("log.csv", f"{HEADER}book,a,b,inf\n".encode(), "1 of 1 weights are NaN"),
    "weight < 0": ("log.csv", f"{HEADER}book,a,b,-2\n".encode(), "the first is -2 of user 'a'"),
    "weight a word": ("log.csv", f"{HEADER}book,a,b,good\n".encode(), "is not numeric"),
}


class TestBadFiles:
    @pytest.mark.parametrize("command", ["evaluate", "fit"])
    @pytest.mark.parametrize("role", ["source", "target"])
    @pytest.mark.parametrize("case", BAD_FILES)
    def test_a_bad_log_is_a_reason_that_names_it(self, case, role, command, log, tmp_path):
        name, raw, words = BAD_FILES[case]
        if raw is not None:
            (tmp_path / name).write_bytes(raw)
        good = tmp_path / "good.csv"
        pl.read_csv(log).with_columns(stars=1).write_csv(good)
        paths = {"source": f"{good}#music", "target": f"{good}#book"}
        paths[role] = f"{tmp_path / name}#book"
        before = content(tmp_path)
        options = [f"--{key}={path}" for key, path in paths.items()]
        reason = fail(1, command, *options, "--weight=stars", "--out", tmp_path / "out")
        assert reason.startswith(f"error: {tmp_path / name}: ")
        assert words in reason
        assert content(tmp_path) == before

    @pytest.mark.parametrize(
        ("name", "raw", "words"),
        [
            ("none.txt", None, "there is no such file"),
            ("ids.txt", b"\n\n", "the file is empty"),
            ("ids.txt", b"\xe4\n", "not UTF-8"),
            ("ids.csv", b"person\na\n", "there is no column 'user'; the columns are 'person'"),
            ("ids.csv", b"user,item\n,a\nu1,b\n", "1 null ids"),
            ("ids.parquet", b"no", "no valid parquet"),
            ("ids.txt", b"u1\nnobody\n", "1 of 2 ids unknown to the model, such as 'nobody'"),
            ("folder", b"", "Is a directory"),
        ],
    )
    def test_bad_ids_are_a_reason_that_names_the_file(self, name, raw, words, model, tmp_path):
        path = tmp_path / name
        if name == "folder":
            path.mkdir()
        elif raw is not None:
            path.write_bytes(raw)
        before = content(tmp_path)
        asked = ["--model", model, "--ids", path, "--out", tmp_path / "lists.csv"]
        reason = fail(1, "recommend", *asked)
        assert reason.startswith(f"error: {path}: ")
        assert words in reason
        assert content(tmp_path) == before

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("user,item\nu9,nothing\n", "1 of 1 ids unknown to the model, such as 'nothing'"),
            ("user,thing\nu9,t1\n", "there is no column 'item'"),
        ],
    )
    def test_a_bad_history_is_a_reason_that_names_it(self, text, words, model, ids, tmp_path):
        path = tmp_path / "history.csv"
        path.write_text(text)
        before = content(tmp_path)
        asked = ["--model", model, "--ids", ids, "--out", tmp_path / "lists.csv"]
        reason = fail(1, "recommend", *asked, "--history", path)
        assert reason.startswith(f"error: {path}: ")
        assert words in reason
        assert content(tmp_path) == before


class TestCatalogsThatDoNotFit:
    @pytest.mark.parametrize("command", ["evaluate", "fit"])
    def test_without_anchors_sizes_and_examples_are_told(self, command, both, tmp_path):
        path = tmp_path / "log.csv"
        path.write_text("user,item\nanna,x\nbert,x\nbert,y\n")
        before = content(tmp_path)
        pair = ["--source", both[1], "--target", path, *SMALL]
        reason = fail(1, command, *pair, "--out", tmp_path / "out")
        assert "270 in the source (for example 'u0')" in reason
        assert "2 in the target (for example 'anna')" in reason
        assert content(tmp_path) == before

    @pytest.mark.parametrize("command", ["evaluate", "fit"])
    def test_numbers_on_one_side_and_strings_on_the_other_are_told(self, command, both, tmp_path):
        path = tmp_path / "log.parquet"
        pl.DataFrame({"user": [1, 2, 2], "item": [5, 5, 6]}).write_parquet(path)
        before = content(tmp_path)
        pair = ["--source", both[1], "--target", path, *SMALL]
        reason = fail(1, command, *pair, "--out", tmp_path / "out")
        assert "strings (for example 'u0')" in reason
        assert "integers (for example 1)" in reason
        assert content(tmp_path) == before

    @pytest.mark.parametrize("role", ["source", "target"])
    def test_a_domain_of_one_row_is_too_little_to_evaluate(self, role, both, tmp_path):
        path = tmp_path / "log.csv"
        path.write_text("user,item\nu1,t1\n")
        pair = {"source": both[1], "target": both[3]} | {role: path}
        before = content(tmp_path)
        options = [f"--{key}={value}" for key, value in pair.items()]
        reason = fail(1, "evaluate", *options, *SMALL, "--out", tmp_path / "out")
        assert "0 of 1 common users have at least 5 interactions" in reason
        assert content(tmp_path) == before

    @pytest.mark.parametrize("role", ["source", "target"])
    def test_a_domain_of_one_row_is_too_few_anchors_to_fit(self, role, both, tmp_path):
        path = tmp_path / "log.csv"
        path.write_text("user,item\nu1,t1\n")
        pair = {"source": both[1], "target": both[3]} | {role: path}
        options = [f"--{key}={value}" for key, value in pair.items()]
        reason = fail(1, "fit", *options, *SMALL, "--out", tmp_path / "model")
        assert "needs at least 2 anchors, rows known on both sides: it got 1" in reason

    def test_a_time_order_without_times_is_told(self, both):
        assert 'order="time" needs timestamps' in fail(2, "evaluate", *both, "--order=time")


class TestWrongUsage:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["evalute"], "Did you mean 'evaluate'?"),
            (["evaluate", "--arm=x"], "No such option: --arm ("),
            (["--shots=1"], "No such option: --shots"),
            (["evaluate", "surplus"], "surplus"),
            (["evaluate", "--n"], "Option '--n' requires an argument"),
            (["evaluate", "--n=0"], "Invalid value for '--n'"),
            (["evaluate", "--factors=wide"], "'--factors'"),
            (["evaluate", "--side=people"], "'people' is not one of 'users', 'items'"),
            (["evaluate", "--protocol=warm"], "'warm' is not one of 'cold'"),
            (["evaluate", "--order=size"], "'size' is not one of 'auto', 'time', 'random'"),
            (["evaluate", "--shots=a,b"], "expected integers separated by commas, got 'a,b'"),
            (["evaluate", "--shots="], "expected integers separated by commas, got ''"),
            (["evaluate", "--levels=a"], "--levels: expected numbers separated by commas, got 'a'"),
            (["evaluate", "--levels=0.1"], "protocol cold has no levels"),
            (
                ["evaluate", "--split=s.parquet", "--protocol=launch"],
                "--split brings its own protocol: leave out --protocol and --levels",
            ),
            (["evaluate", "--protocol=anchors", "--levels=10.5"], "anchors must be whole numbers"),
            (["evaluate", "--trials=0"], "Invalid value for '--trials'"),
            (["compare", "a.json"], "Missing argument 'B/RESULTS.JSON'"),
            (["evaluate", "--shots=1.5"], "expected integers separated by commas, got '1.5'"),
            (["evaluate", "--source=a.csv"], "both --source and --target or neither"),
            (["evaluate", "--target=a.csv"], "both --source and --target or neither"),
            (["fit", "--target=a.csv", "--out=model"], "Missing option '--source'"),
            (["recommend", "--model=model"], "Missing option '--ids'"),
            (
                ["recommend", "--model=m", "--ids=i", "--out=lists.xlsx"],
                "expected a file ending in .csv, .tsv, .parquet, .jsonl or .ndjson, got lists.xlsx",
            ),
        ],
    )
    def test_wrong_arguments_are_told_before_anything_is_read(
        self, arguments, words, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        assert words in fail(2, *arguments)
        assert content(tmp_path) == {}

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--arms=popularity,best"], "unknown arm 'best': known are popularity, cold"),
            (["--arms="], "unknown arm ''"),
            (["--metric=auc"], "unknown metric 'auc': known are ndcg, recall, mrr, hit_rate"),
            (["--shots=0,-1"], "got [0, -1]"),
            (["--holdout=1.5"], "between 0 and 1, got 1.5"),
            (["--holdout=nan"], "between 0 and 1, got nan"),
            (["--budget=0"], "budget must be None or a number of seconds above 0, got 0.0"),
        ],
    )
    def test_wrong_choices_are_told_with_those_there_are(self, options, words, both, tmp_path):
        reason = fail(2, "evaluate", *both, *options, "--out", tmp_path / "out")
        assert words in reason
        assert content(tmp_path) == {}

    @pytest.mark.parametrize(
        ("command", "option", "words"),
        [
            ("evaluate", "--arms=ridge", "unknown arm 'ridge': known are"),
            ("evaluate", "--metric=ndgc", "unknown metric 'ndgc': known are"),
            ("benchmark", "--metric=ndgc", "unknown metric 'ndgc': known are"),
        ],
    )
    def test_wrong_names_are_told_before_a_file_is_read(self, command, option, words, tmp_path):
        missing = tmp_path / "missing.csv"
        assert words in fail(2, command, "--source", missing, "--target", missing, option)

    def test_an_unknown_adapter_is_told_with_those_there_are(self, both, tmp_path):
        reason = fail(2, "fit", *both, "--adapter=magic", "--out", tmp_path / "model")
        assert "unknown adapter 'magic': known are auto, " in reason
        assert "mean" in reason
        assert "ridge" in reason
        assert content(tmp_path) == {}


class TestPlacesThatCannotBeWritten:
    @pytest.mark.parametrize("command", ["evaluate", "fit"])
    @pytest.mark.parametrize("out", ["file", "file/out", "file/deep/out"])
    def test_a_file_in_the_way_is_told_before_anything_is_read(self, out, command, both, tmp_path):
        (tmp_path / "file").write_text("mine")
        before = content(tmp_path)
        done = invoke(command, *both, "--out", tmp_path / out)
        assert done.exit_code == 1
        [line] = done.stderr.splitlines()
        assert line.startswith(f"error: cannot write in the folder {tmp_path / out}: ")
        assert content(tmp_path) == before

    @pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() == 0, reason="no folder is closed to root"
    )
    @pytest.mark.parametrize("command", ["evaluate", "fit"])
    def test_a_closed_folder_is_told_before_anything_is_read(self, command, both, tmp_path):
        (tmp_path / "closed").mkdir(mode=0o500)
        [line] = invoke(command, *both, "--out", tmp_path / "closed" / "out").stderr.splitlines()
        assert line.endswith("Permission denied")

    def test_somebody_elses_manifest_is_told_before_anything_is_read(self, both, tmp_path):
        (tmp_path / "manifest.json").write_text('{"name": "an app"}')
        before = content(tmp_path)
        [line] = invoke("fit", *both, "--out", tmp_path).stderr.splitlines()
        assert line.startswith("error: cannot save over")
        assert content(tmp_path) == before

    @pytest.mark.parametrize("out", ["folder.csv", "file/lists.csv"])
    def test_lists_that_cannot_be_written_are_told_at_once(self, out, model, ids, tmp_path):
        (tmp_path / "folder.csv").mkdir()
        (tmp_path / "file").write_text("mine")
        before = content(tmp_path)
        fail(1, "recommend", "--model", model, "--ids", ids, "--out", tmp_path / out)
        assert content(tmp_path) == before

    def test_a_failure_leaves_the_old_model_whole(self, both, model, tmp_path):
        before = content(model)
        fail(1, "fit", "--source", both[1], "--target", tmp_path / "none.csv", "--out", model)
        assert content(model) == before

    @pytest.mark.skipif(os.name == "nt", reason="Windows does not limit the size of files")
    @pytest.mark.parametrize("suffix", [".csv", ".parquet"])
    def test_a_full_disk_leaves_the_old_lists_whole(self, suffix, model, log, tmp_path):
        out = tmp_path / f"lists{suffix}"
        out.write_text("old")
        before = content(tmp_path)
        process = start(
            *("recommend", "--model", model, "--ids", log, "--n=60", "--out", out),
            preexec_fn=no_large_files,
        )
        stdout, stderr = process.communicate(timeout=120)
        assert (process.returncode, stdout) == (1, "")
        assert stderr.startswith(f"error: cannot write {out}: ")
        assert "File too large" in stderr
        assert len(stderr.splitlines()) == 1
        assert content(tmp_path) == before


def interruptible() -> None:
    """Undo what a shell does to jobs in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def no_large_files() -> None:
    """Make writing fail after 16 kB, as on a full disk."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, 2**14))


class TestDamagedModels:
    @pytest.fixture
    def copy(self, model, tmp_path) -> Path:
        (tmp_path / "model").mkdir()
        for path in model.iterdir():
            (tmp_path / "model" / path.name).write_bytes(path.read_bytes())
        return tmp_path / "model"

    def test_a_missing_model_is_told(self, ids, tmp_path):
        reason = fail(1, "recommend", "--model", tmp_path / "none", "--ids", ids)
        assert "there is no such folder" in reason

    def test_a_folder_without_a_model_is_told(self, ids, tmp_path):
        assert "no manifest.json" in fail(1, "recommend", "--model", tmp_path, "--ids", ids)

    @pytest.mark.parametrize("name", ["manifest.json", "mapped_factors-*.npy", "other_ids-*.npy"])
    def test_a_damaged_file_is_told(self, name, copy, ids, tmp_path):
        [path] = copy.glob(name)
        path.write_bytes(path.read_bytes()[:-40])
        out = tmp_path / "lists.csv"
        reason = fail(1, "recommend", "--model", copy, "--ids", ids, "--out", out)
        assert f"{path} is damaged" in reason
        assert not out.exists()

    def test_a_newer_model_is_told(self, copy, ids):
        manifest = json.loads((copy / "manifest.json").read_text())
        (copy / "manifest.json").write_text(json.dumps({**manifest, "version": 99}))
        assert "newer coldstart" in fail(1, "recommend", "--model", copy, "--ids", ids)

    @pytest.mark.parametrize("part", ["target", "shape"])
    def test_a_manifest_without_a_part_is_told(self, part, copy, ids):
        manifest = json.loads((copy / "manifest.json").read_text())
        del manifest["content"][part]
        (copy / "manifest.json").write_text(json.dumps(manifest))
        assert "damaged" in fail(1, "recommend", "--model", copy, "--ids", ids)


class TestErrors:
    def test_debug_shows_where_an_error_comes_from(self):
        done = invoke("evaluate", "--shots=many", "--debug")
        assert done.exit_code == 2
        assert done.stderr.startswith("Traceback (most recent call last):\n")
        assert done.stderr.splitlines()[-1].startswith("error: --shots: expected integers")

    def test_what_nobody_expected_is_one_line_too(self):
        app = typer.Typer(cls=type(typer.main.get_command(cli.app)))
        app.callback()(lambda: None)
        app.command("divide")(lambda: 1 / 0)
        done = CliRunner().invoke(app, ["divide"])
        expected = "error: unexpected ZeroDivisionError, division by zero (--debug shows where)\n"
        assert (done.exit_code, done.stderr) == (1, expected)


def start(*arguments, **settings) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    words = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(words, stdout=pipe, stderr=pipe, encoding="utf-8", **settings)


class TestTheCommandItself:
    def test_it_is_installed(self):
        [entry] = entry_points(group="console_scripts", name="coldstart")
        assert entry.load() is cli.main

    def test_help_lists_the_commands_and_loads_nothing_heavy(self, tmp_path):
        code = (
            "import sys; from coldstart.cli import main; sys.argv = ['coldstart', '--help']\n"
            "try: main()\n"
            "finally: sys.stderr.write(' '.join(sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        assert all(name in done.stdout for name in ("evaluate", "diagnose", "fit", "recommend"))
        heavy = {"implicit", "numba", "numpy", "polars", "scipy", "sklearn", "tqdm"}
        assert not heavy & set(done.stderr.split())

    def test_without_a_command_it_shows_the_help(self):
        assert invoke().stdout == invoke("--help").stdout

    def test_it_works_from_any_folder_and_writes_no_progress_to_a_pipe(
        self, model, ids, tmp_path, warm
    ):
        process = start("recommend", "--model", model, "--ids", ids, "--n=2", cwd=tmp_path)
        stdout, stderr = process.communicate(timeout=120)
        assert (process.returncode, stderr) == (0, "")
        assert len(stdout.splitlines()) == 1 + 2 * 17

    def test_lists_are_utf_8_whatever_the_terminal_speaks(self, log, tmp_path):
        frame = pl.read_csv(log).with_columns(pl.col("user").replace("u9", "\u00fc9"))
        frame.write_csv(tmp_path / "log.csv")
        both = [f"--source={tmp_path / 'log.csv'}#music", f"--target={tmp_path / 'log.csv'}#book"]
        succeed("fit", *both, *SMALL, "--adapter=mean", "--out", tmp_path / "model")
        (tmp_path / "ids.txt").write_text("\u00fc9\n", encoding="utf-8")
        asked = ["recommend", "--model=model", "--ids=ids.txt", "--n=1"]
        process = start(*asked, cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
        stdout, _ = process.communicate(timeout=120)
        assert stdout.splitlines()[1].startswith("\u00fc9,1,t")

    def test_a_failure_is_one_line_without_a_traceback(self, tmp_path):
        process = start("evaluate", "--source=none.csv", "--target=none.csv", cwd=tmp_path)
        stdout, stderr = process.communicate(timeout=120)
        expected = "error: none.csv: there is no such file\n"
        assert (process.returncode, stdout, stderr) == (1, "", expected)

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
    def test_an_interruption_is_one_line_and_leaves_nothing(self, tmp_path):
        process = start("evaluate", "--out=out", cwd=tmp_path, preexec_fn=interruptible)
        assert process.stderr is not None
        assert "synthetic" in process.stderr.readline()  # the work has begun
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
        assert (process.returncode, stdout, stderr) == (130, "", "error: interrupted\n")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
    def test_a_terminal_is_shown_progress(self, model, ids, tmp_path):
        import fcntl
        import termios

        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        words = [*COMMAND, "recommend", "--model", model, "--ids", ids]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=theirs) as process:
            assert process.wait(timeout=120) == 0
        os.close(theirs)
        shown = os.read(ours, 10_000).decode()
        os.close(ours)
        assert "blocks of ids" in shown

    @pytest.mark.skipif(os.name == "nt", reason="pipes close otherwise on Windows")
    def test_a_reader_that_leaves_early_is_no_reason_to_complain(self, model, ids):
        process = start("recommend", "--model", model, "--ids", ids)
        assert process.stdout is not None
        process.stdout.close()
        _, stderr = process.communicate(timeout=120)
        assert stderr == ""

"""The commands that list, describe and fetch data sets."""

import io
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coldstart import cli, dataset_commands
from coldstart.datasets import read_interactions
from coldstart.datasets.registry import DATA_SETS


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["datasets", *arguments])


def fail(code: int, *arguments: str) -> str:
    """The one line that says why."""
    done = invoke(*arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    (reason,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    return reason


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch):
    """Somebody who sits at a terminal and gives this answer."""

    class Terminal:
        def isatty(self) -> bool:
            return True

    def give(*, answer: bool) -> None:
        class System:
            stdin = Terminal()
            stderr = io.StringIO()
            stdout = io.StringIO()

        monkeypatch.setattr(dataset_commands, "sys", System)
        monkeypatch.setattr(dataset_commands.typer, "confirm", lambda *_, **__: answer)

    return give


class TestList:
    def test_every_data_set_has_its_line(self, cache: Path) -> None:
        done = invoke("list")
        assert done.exit_code == 0
        lines = done.stdout.splitlines()
        for data in DATA_SETS.values():
            (line,) = (line for line in lines if line.split()[:1] == [data.name])
            assert data.size in line
            assert data.licence in line
            assert line.rstrip().endswith(" no")
        assert str(cache) in lines[-1]

    def test_it_says_what_is_in_the_cache(self, remote) -> None:
        invoke("fetch", "douban", "book")
        (line,) = (line for line in invoke("list").stdout.splitlines() if " douban " in line)
        assert line.rstrip().endswith(" book")


class TestInfo:
    @pytest.mark.parametrize("name", DATA_SETS)
    def test_terms_citation_files_and_use_are_shown(self, cache: Path, name: str) -> None:
        done = invoke("info", name)
        assert done.exit_code == 0
        data = DATA_SETS[name]
        file = data.files(data.example[0])[0]
        for text in (data.terms, *data.citation, data.domains_are, data.note, file.url):
            assert text in done.stdout
        assert (file.checksum or "none is published") in done.stdout
        assert str(cache / name / "raw") in done.stdout
        assert f"coldstart datasets fetch {name}" in done.stdout

    def test_what_is_in_the_cache_can_be_used_at_once(self, remote) -> None:
        invoke("fetch", "douban")
        last = invoke("info", "douban").stdout.splitlines()[-1]
        assert last.endswith("coldstart evaluate --source 'douban#book' --target 'douban#movie'")

    def test_an_unknown_name_is_answered_with_the_known_ones(self) -> None:
        reason = fail(1, "info", "netflix")
        assert "there is no data set 'netflix'; the known ones are movielens-100k" in reason


class TestFetch:
    def test_terms_are_shown_before_anything_is_fetched(self, remote) -> None:
        del remote.files["ml-100k.zip"]
        done = invoke("fetch", "movielens-100k")
        assert done.exit_code == 1
        lines = done.stderr.splitlines()
        first = next(n for n, line in enumerate(lines) if "fetching http://" in line)
        before = "\n".join(lines[:first])
        data = DATA_SETS["movielens-100k"]
        assert data.terms in before
        assert data.citation[0] in before
        assert lines[-1].startswith("error: http://127.0.0.1")

    def test_what_came_and_how_to_use_it_goes_to_stdout(self, remote) -> None:
        done = invoke("fetch", "movielens-1m")
        assert done.exit_code == 0, done.stderr
        *domains, use = done.stdout.splitlines()
        assert domains[0] == "movielens-1m#Animation: 2 users x 1 items, 2 interactions, 1 titles"
        assert use == (
            "coldstart evaluate --source 'movielens-1m#Animation' "
            "--target 'movielens-1m#Children'\"'\"'s'"
        )
        assert read_interactions("movielens-1m#Children's").nnz == 2

    def test_of_one_domain_the_next_one_is_named(self, remote) -> None:
        done = invoke("fetch", "xmarket", "uk/Electronics", "--titles")
        *_, use = done.stdout.splitlines()
        assert use == "coldstart datasets fetch xmarket uk/Electronics de/Electronics"
        assert "1 titles" in done.stdout

    def test_markets_are_mapped_by_their_items(self, remote) -> None:
        file = "ratings_de_Electronics.txt.gz"
        remote.files[file] = remote.files[file.replace("_de_", "_uk_")]
        *_, use = invoke("fetch", "xmarket", "uk/Electronics", "de/Electronics").stdout.splitlines()
        assert use.endswith(" --side items")

    def test_a_script_is_not_asked(self, remote) -> None:
        assert "Fetch" not in invoke("fetch", "douban", "book").stderr

    def test_at_a_terminal_a_question_is_asked_after_the_terms(self, remote, at_terminal) -> None:
        at_terminal(answer=False)
        done = invoke("fetch", "douban", "book")
        assert (done.exit_code, done.stdout, remote.asked) == (1, "", [])
        assert done.stderr.splitlines()[-1] == "nothing was fetched"
        assert DATA_SETS["douban"].terms in done.stderr
        at_terminal(answer=True)
        assert invoke("fetch", "douban", "book").exit_code == 0

    def test_yes_answers_it(self, remote, at_terminal) -> None:
        at_terminal(answer=False)
        assert invoke("fetch", "douban", "book", "--yes").exit_code == 0
        assert remote.asked

    def test_wrong_names_are_refused_before_the_terms(self, remote) -> None:
        assert "has no domain 'game'" in fail(1, "fetch", "douban", "game")
        assert "no data set 'netflix'" in fail(1, "fetch", "netflix")
        assert "too large" in fail(1, "fetch", "amazon-2023")
        assert remote.asked == []

    def test_a_file_that_is_not_the_expected_one_is_an_error_in_one_line(self, remote) -> None:
        remote.files["ml-1m.zip"] = b"other"
        done = invoke("fetch", "movielens-1m")
        assert (done.exit_code, done.stdout) == (1, "")
        assert "expected a file with sha256:" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr


def test_without_a_command_it_shows_the_help() -> None:
    done = invoke()
    assert done.exit_code == 0
    assert "fetch" in done.stdout
    assert invoke("-h").stdout == done.stdout


def test_a_wrong_command_is_wrong_usage() -> None:
    assert "No such command 'get'" in fail(2, "get")


def test_fetched_domains_are_evaluated_by_name(remote) -> None:
    rows = [f"{user}\t{item}\t{item % 5 + 1}" for user in range(60) for item in range(user % 9, 25)]
    for domain in ("book", "movie"):
        remote.files[f"douban_{domain}.dat"] = "\n".join(rows).encode()
    assert invoke("fetch", "douban", "book", "movie").exit_code == 0
    done = CliRunner().invoke(
        cli.app,
        [
            *("evaluate", "--source", "douban#movie", "--target", "douban#book"),
            *("--factors=4", "--shots=0", "--arms=popularity,mean-prior", "--threads=1"),
        ],
    )
    assert done.exit_code == 0, done.stderr
    assert done.stderr.startswith("source: 60 users x 25 items, ")
    assert "popularity" in done.stdout

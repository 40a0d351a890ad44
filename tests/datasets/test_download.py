"""A file appears under its name only whole and checked, however often the connection breaks."""

import errno
import hashlib
import os
import pickle
import socket
from collections import namedtuple
from pathlib import Path

import pytest

from coldstart.datasets import download as module
from coldstart.datasets.download import WrongFileError, download
from coldstart.errors import DownloadError

CONTENT = bytes(range(256)) * 40
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MD5 = f"md5:{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.0)


@pytest.fixture
def path(tmp_path: Path, server) -> Path:
    server.files["data.zip"] = CONTENT
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw" / "data.zip"


def there(path: Path) -> set[str]:
    return {each.name for each in path.parent.iterdir()}


def fail(server, path: Path, checksum: str | None = None) -> str:
    with pytest.raises(DownloadError) as caught:
        download(server.url("data.zip"), path, checksum)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("checksum", [SHA256, MD5, SHA256.upper().replace("SHA", "sha"), None])
def test_a_whole_file_is_kept_and_nothing_else(server, path: Path, checksum: str | None) -> None:
    download(server.url("data.zip"), path, checksum)
    assert path.read_bytes() == CONTENT
    assert there(path) == {"data.zip"}
    assert server.asked == [("data.zip", None)]


def test_a_file_that_is_there_is_replaced(server, path: Path) -> None:
    path.write_bytes(b"old")
    download(server.url("data.zip"), path, SHA256)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("checksum", [SHA256, None])
def test_a_cut_connection_is_taken_up_where_it_broke(
    server, path: Path, checksum: str | None
) -> None:
    server.cuts = [1000, 3000]
    download(server.url("data.zip"), path, checksum)
    assert path.read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=1000-", "bytes=4000-"]


def test_after_some_cuts_the_next_call_goes_on(server, path: Path) -> None:
    server.cuts = [1000, 1, 1, 1]
    message = fail(server, path, SHA256)
    assert "cut 4 times, now after 1003 bytes" in message
    assert "run the command again, it goes on from there" in message
    assert not path.exists()
    server.asked.clear()
    download(server.url("data.zip"), path, SHA256)
    assert path.read_bytes() == CONTENT
    assert server.asked == [("data.zip", "bytes=1003-")]


def test_a_server_that_cannot_go_on_begins_anew(server, path: Path) -> None:
    server.cuts, server.ranges = [1000], False
    download(server.url("data.zip"), path, SHA256)
    assert path.read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_not_glued_together(server, path: Path) -> None:
    server.cuts = [1000, 1, 1, 1]
    fail(server, path)
    server.files["data.zip"] = CONTENT[::-1] + b"!"
    download(server.url("data.zip"), path)
    assert path.read_bytes() == CONTENT[::-1] + b"!"


def test_a_part_of_which_nobody_knows_the_version_is_not_trusted(server, path: Path) -> None:
    server.cuts, server.versions = [1000, 1000], False
    download(server.url("data.zip"), path)
    assert path.read_bytes() == CONTENT
    assert {asked for _, asked in server.asked} == {None}


def test_with_a_checksum_such_a_part_is_used(server, path: Path) -> None:
    server.cuts, server.versions = [1000], False
    download(server.url("data.zip"), path, SHA256)
    assert path.read_bytes() == CONTENT
    assert server.asked[-1] == ("data.zip", "bytes=1000-")


def test_a_part_that_is_whole_is_only_checked(server, path: Path) -> None:
    path.with_name("data.zip.part").write_bytes(CONTENT)
    download(server.url("data.zip"), path, SHA256)
    assert path.read_bytes() == CONTENT


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server, path: Path) -> None:
    path.with_name("data.zip.part").write_bytes(CONTENT + b"more")
    download(server.url("data.zip"), path, SHA256)
    assert path.read_bytes() == CONTENT


def test_a_file_with_another_checksum_leaves_nothing(server, path: Path) -> None:
    server.files["data.zip"] = CONTENT + b"tampered"
    message = fail(server, path, SHA256)
    assert f"expected a file with {SHA256}, got sha256:" in message
    assert there(path) == set()


def test_a_file_with_another_checksum_replaces_nothing(server, path: Path) -> None:
    path.write_bytes(b"old")
    server.files["data.zip"] = b"other"
    fail(server, path, MD5)
    assert path.read_bytes() == b"old"


def test_a_file_is_kept_as_it_is_sent_even_if_called_an_encoding(server, path: Path) -> None:
    server.files["data.csv.gz"] = CONTENT  # whose header says that it is to be unpacked
    download(server.url("data.csv.gz"), path)
    assert path.read_bytes() == CONTENT


def test_a_missing_file_is_said_with_what_to_do(server, path: Path) -> None:
    del server.files["data.zip"]
    message = fail(server, path)
    assert "the server answers 404" in message
    assert f"or put the file yourself at {path}" in message


def test_a_server_in_trouble_does_not_cost_what_has_come(server, path: Path) -> None:
    server.cuts = [1000, 1, 1, 1]
    fail(server, path, SHA256)
    server.status = 503
    assert "the server answers 503" in fail(server, path, SHA256)
    assert path.with_name("data.zip.part").stat().st_size == 1003


def test_a_server_that_sends_nothing_is_not_waited_for_without_end(
    server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", 0.02)
    server.delay = 0.2
    assert "cut 4 times, now after 0 bytes (nothing came for 0.02 seconds)" in fail(server, path)


def test_being_offline_is_said(path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/data.zip"
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 cannot be reached: check the connec"):
        download(url, path)
    assert there(path) == set()


def test_what_is_no_address_is_said(path: Path) -> None:
    with pytest.raises(DownloadError, match="No connection adapters were found"):
        download("ftp://127.0.0.1/data.zip", path)


def test_too_small_a_disk_is_said_before_anything_is_written(
    server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage(10, 2, 8))
    message = fail(server, path)
    assert "is full (10,240 bytes are needed, 8 bytes are free)" in message
    assert "COLDSTART_DATA" in message


def test_a_disk_that_fills_up_is_said(server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "fsync", full)
    assert "is full (no space is left): make room" in fail(server, path)
    assert not path.exists()


def test_the_error_survives_another_process() -> None:
    error = pickle.loads(pickle.dumps(WrongFileError("so and so")))
    assert (type(error), str(error)) == (WrongFileError, "so and so")

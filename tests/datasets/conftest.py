"""Small files in the original formats of public data sets, and a server that has them."""

import gzip
import hashlib
import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from coldstart.datasets import download
from coldstart.datasets.registry import DATA_SETS

GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance"),
    *("Sci-Fi", "Thriller", "War", "Western"),
)


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def film(number: int, title: str, *genres: str) -> bytes:
    flags = "|".join("1" if genre in genres else "0" for genre in GENRES)
    return f"{number}|{title}|01-Jan-1995||http://us.imdb.com/M/x?{number}|{flags}\n".encode(
        "latin-1"
    )


def movielens_100k() -> bytes:
    ratings = b"196\t242\t3\t881250949\n186\t302\t4\t891717742\n196\t7\t5\t881250950\n"
    films = (
        film(242, "Kolya (1996)", "Comedy")
        + film(302, "Lés Misérables (1995)", "Drama", "War")
        + film(7, "Nobody knows (1994)", "unknown")
    )
    genres = "".join(f"{genre}|{number}\n" for number, genre in enumerate(GENRES)) + "\n"
    return zipped(
        **{
            "ml-100k/": b"",
            "ml-100k/u.data": ratings,
            "ml-100k/u.item": films,
            "ml-100k/u.genre": genres.encode(),
        }
    )


def movielens_1m() -> bytes:
    ratings = b"1::1193::5::978300760\n2::661::3::978302109\n1::661::4::978301968\n"
    films = (
        "1193::One Flew Over the Cuckoo's Nest (1975)::Drama\n"
        "661::James: the Giant::Peach é (1996)::Animation|Children's|Musical\n"
    )
    return zipped(**{"ml-1m/ratings.dat": ratings, "ml-1m/movies.dat": films.encode("latin-1")})


def movielens_latest() -> bytes:
    ratings = b"userId,movieId,rating,timestamp\n1,1,4.0,964982703\n1,3,4.5,964981247\n"
    films = (
        "movieId,title,genres\n"
        '1,"American President, The ""é"" (1995)",Comedy|Drama|Romance\n'
        "3,Grumpier Old Men (1995),(no genres listed)\n"
    )
    folder = "ml-latest-small"
    return zipped(
        **{
            f"{folder}/ratings.csv": ratings,
            f"{folder}/movies.csv": films.encode(),
            f"{folder}/tags.csv": b"userId,movieId,tag,timestamp\n",
        }
    )


def book_crossing() -> bytes:
    ratings = b'"User-ID";"ISBN";"Book-Rating"\r\n' + b"".join(
        b'"%d";"%s";"%d"\r\n' % row
        for row in (
            (276725, b"034545104X", 0),
            (276726, b"0155061224", 5),
            (276729, b'0\\"7', 10),
            *((n, b"0155061224", n % 11) for n in range(200)),
        )
    )
    books = (
        '"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication";"Publisher";"Image-URL-S";'
        '"Image-URL-M";"Image-URL-L"\r\n'
        '"034545104X";"Flesh Tones: A Novel";"M. J. Rose";"2002";"Ballantine";"a";"b";"c"\r\n'
        '"0155061224";"Rites with the Real \\"J. Peterman\\"; Life &amp; é";"J";"2001";"H";'
        '"a";"b";"c"\r\n'
    ).encode("latin-1")
    more = b"".join(b'"%d";"t";"a";"2000";"p";"a";"b";"c"\r\n' % n for n in range(200))
    broken = b'"078946697X";"Level 4\\";Michael Teitelbaum";"2000";"DK";"http://x"\r\n'
    return zipped(
        **{
            "BX-Book-Ratings.csv": ratings + b'"276730";"cut\r\n',
            "BX-Books.csv": books + more + broken,
            "BX-Users.csv": b'"User-ID";"Location";"Age"\r\n',
        }
    )


def amazon() -> bytes:
    return gzip.compress(
        b"user_id,parent_asin,rating,timestamp\n"
        b"AGKASBHYZPGTEPO6LWZPVJWB2BVA,B006GBITXC,3.0,1452647382000\n"
        b"AGKASBHYZPGTEPO6LWZPVJWB2BVA,0007273754,4.0,1454675785123\n"
    )


def amazon_titles() -> bytes:
    objects = (
        {"main_category": "Toys", "title": "Dragon\n Box", "parent_asin": "B006GBITXC"},
        {"main_category": "Toys", "title": None, "parent_asin": "0007273754"},
        {"main_category": "Toys", "title": "of no interest", "parent_asin": "B000000000"},
    )
    return gzip.compress("".join(json.dumps(each) + "\n" for each in objects).encode())


def xmarket() -> bytes:
    return gzip.compress(
        b"AFXKARXBL3X3LO5GNN4XAXC7XMPQ 0061806765 3 2012-08-20\n"
        b"AH3Z5FFVAQYVQNDBUG2M23ZZBCGA B000023VW2 5.0 2013-11-24\n"
    )


def xmarket_titles() -> bytes:
    printed = {"asin": "B000023VW2", "title": 'A "short" wave antenna', "badge": "Amazon's"}
    return gzip.compress(f"{printed}\n{json.dumps({**printed, 'title': 'again'})}\n".encode())


ORIGINALS = {
    "ml-100k.zip": movielens_100k,
    "ml-1m.zip": movielens_1m,
    "ml-latest-small.zip": movielens_latest,
    "BX-CSV-Dump.zip": book_crossing,
    "Toys_and_Games.csv.gz": amazon,
    "meta_Toys_and_Games.jsonl.gz": amazon_titles,
    "ratings_uk_Electronics.txt.gz": xmarket,
    "metadata_uk_Electronics.json.gz": xmarket_titles,
    "ratings.dat": lambda: b"1\t1630\t4\n1\t1181\t4\n2\t1630\t5.0\n",
}


@pytest.fixture
def original(tmp_path: Path):
    """Write a file in its original format, and say where it is."""

    def write(name: str, content: bytes | None = None) -> Path:
        path = tmp_path / "originals" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(ORIGINALS[name]() if content is None else content)
        return path

    return write


class Server(ThreadingHTTPServer):
    """Serves files by the last part of their paths, and keeps the ranges that were asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.cuts: list[int] = []  # after how many bytes to cut the next answers
        self.ranges = True  # whether it can go on in the middle
        self.versions = True  # whether it tells versions of a file apart
        self.status = 200
        self.delay = 0.0  # seconds before an answer

    def handle_error(self, *_: object) -> None:
        pass  # whoever asked went away

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        server, name = self.server, self.path.rpartition("/")[2]
        wanted = self.headers.get("Range")
        server.asked.append((name, wanted))
        time.sleep(server.delay)
        content = server.files.get(name)
        if content is None or server.status != 200:
            self.send_error(404 if content is None else server.status)
            return
        start, tag = 0, f'"{len(content)}-{hash(content)}"'
        same = self.headers.get("If-Range", tag) == tag
        if wanted is not None and server.ranges and same:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content) > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if server.versions:
            self.send_header("ETag", tag)
        if name.endswith(".gz"):
            self.send_header("Content-Encoding", "gzip")  # as some servers say of such files
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = start + server.cuts.pop(0) if server.cuts else len(content)
        self.wfile.write(content[start:stop])
        if stop < len(content):
            self.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("COLDSTART_DATA", str(folder))
    return folder


@pytest.fixture
def remote(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The data sets that are known, but at the local server, and an empty cache."""
    assert not cache.exists()
    monkeypatch.setattr(download, "_PAUSE", 0.0)
    server.files = {name: make() for name, make in ORIGINALS.items()}
    for domain in ("book", "movie", "music"):
        server.files[f"douban_{domain}.dat"] = server.files["ratings.dat"]

    def here(make):
        return make and (lambda domain: replace(make(domain), url=server.url(make(domain).name)))

    for name, data in DATA_SETS.items():
        archive = data.archive
        if archive is not None:
            sha256 = hashlib.sha256(server.files[archive.name]).hexdigest()
            url = server.url(archive.name)
            archive = replace(archive, url=url, checksum=f"sha256:{sha256}")
        local = replace(data, archive=archive, ratings=here(data.ratings), titles=here(data.titles))
        monkeypatch.setitem(DATA_SETS, name, local)
    return server

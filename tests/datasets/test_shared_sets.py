"""The formats of the shared data sets in small, and the files where they lie beside the project."""

import gzip
from pathlib import Path

import pytest

from coldstart.datasets import read_interactions

SHARED = Path(__file__).parents[3] / "shared" / "data"

SIZES = (  # file, domain, interactions, users, items: as the notes beside the files say
    ("amazon", "Food", 83_663, 7_144, 11_837),
    ("amazon", "Kitchen", 89_885, 7_144, 16_258),
    ("amazon", "Beauty", 50_329, 4_474, 10_379),
    ("amazon", "Electronics", 63_800, 4_474, 14_188),
    ("douban", "movie", 223_711, 2_647, 9_543),
    ("douban", "book", 96_041, 2_110, 6_777),
    ("douban", "music", 69_709, 1_672, 5_567),
    ("epinions", "cat03", 166_554, 14_180, 28_616),
    ("epinions", "cat04", 102_690, 10_731, 59_129),
    ("yelp", "Restaurants", 60_623, 1_355, 762),
    ("yelp", "Nightlife", 21_997, 1_354, 269),
    ("ml_netflix", "movielens", 10_165, 1_000, 371),
    ("ml_netflix", "netflix", 16_984, 1_000, 434),
)
SAMPLES = (  # the shape of their lines; every id, rating and time is made up
    "Food,someone-1,THING-A,1,1400000000",
    "book,person1,bk-one,4",
    "cat03,person2,thing2,2,11",
    "ca,someone-2,THING-B,5.0,2001-02-03",
    "Arts & Entertainment,person3,place3,3",
    "movielens,mx,title-x,3.5",
)


@pytest.mark.parametrize("line", SAMPLES)
def test_each_format_is_read(tmp_path: Path, line: str) -> None:
    domain, user, item, rating, *time = line.split(",")
    header = "domain,user,item,rating,timestamp" if time else "domain,user,item,rating"
    path = tmp_path / "interactions.csv.gz"
    path.write_bytes(gzip.compress(f"{header}\n{line}\n".encode()))
    log = read_interactions(f"{path}#{domain}", weight="rating")
    assert (log.users.ids.tolist(), log.items.ids.tolist()) == ([user], [item])
    assert log.user_items.data.tolist() == [float(rating)]
    assert (log.timestamps is not None) == bool(time)


@pytest.mark.parametrize(("name", "domain", "interactions", "users", "items"), SIZES)
def test_each_set_has_its_documented_size(
    name: str, domain: str, interactions: int, users: int, items: int
) -> None:
    path = SHARED / name / "interactions.csv.gz"
    if not path.is_file():
        pytest.skip(f"the shared data set {name} is not there")
    log = read_interactions(f"{path}#{domain}")
    assert log.nnz + log.repeated == interactions
    assert log.shape == (users, items)

"""The public data sets that are known by name.

Checksums are those that others have published (the sha256 of MovieLens by TensorFlow Datasets, the
md5 of Book-Crossing by the Book Data Tools). The other files have none that is known.
"""

from __future__ import annotations

from dataclasses import replace

from coldstart.datasets.data_set import DataSet, RemoteFile
from coldstart.errors import DataError

__all__ = ["DATA_SETS", "data_set"]


def data_set(name: str) -> DataSet:
    """Find a data set by its name; DataError where there is none."""
    if name not in DATA_SETS:
        raise DataError(f"there is no data set {name!r}; the known ones are {', '.join(DATA_SETS)}")
    return DATA_SETS[name]


_GROUPLENS = "https://files.grouplens.org/datasets/movielens/"
_MCAULEY = "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_2023/"
_XMARKET = "https://ciir.cs.umass.edu/downloads/XMarket/FULL/"
# A commit, so that what is fetched cannot change. The authors' account had another name before,
# FengZhu-Joey, under which papers still cite it and which no longer belongs to them.
_DOUBAN = (
    "https://raw.githubusercontent.com/fengzhu1/GA-DTCDR/"
    "b9f22b3cbdc78efa3d41e1f3ea60a2c14c9be13f/Data/"
)

_HARPER = (
    "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. "
    "ACM Transactions on Interactive Intelligent Systems 5, 4, Article 19. "
    "https://doi.org/10.1145/2827872"
)
_HOU = (
    "Yupeng Hou, Jiacheng Li, Zhankui He, An Yan, Xiusi Chen, Julian McAuley. 2024. Bridging "
    "Language and Items for Retrieval and Recommendation. arXiv:2403.03952"
)
_ZHU = (
    "Feng Zhu, Yan Wang, Chaochao Chen, Guanfeng Liu, Xiaolin Zheng. 2020. A Graphical and "
    "Attentional Framework for Dual-Target Cross-Domain Recommendation. IJCAI 2020, 3001-3008",
    "Feng Zhu, Chaochao Chen, Yan Wang, Guanfeng Liu, Xiaolin Zheng. 2019. DTCDR: A Framework for "
    "Dual-Target Cross-Domain Recommendation. CIKM 2019, 1533-1542",
)
_BONAB = (
    "Hamed Bonab, Mohammad Aliannejadi, Ali Vardasbi, Evangelos Kanoulas, James Allan. 2021. "
    "Cross-Market Product Recommendation. CIKM 2021. https://doi.org/10.1145/3459637.3482493"
)
_ZIEGLER = (
    "Cai-Nicolas Ziegler, Sean M. McNee, Joseph A. Konstan, Georg Lausen. 2005. Improving "
    "Recommendation Lists Through Topic Diversification. WWW '05. "
    "https://doi.org/10.1145/1060745.1060754"
)

_18_GENRES = (
    *("Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary"),
    *("Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi"),
    *("Thriller", "War", "Western"),
)
_LATEST_GENRES = (
    *(genre.replace("Children's", "Children") for genre in _18_GENRES),
    *("IMAX", "(no genres listed)"),
)
_AMAZON_CATEGORIES = (
    *("All_Beauty", "Arts_Crafts_and_Sewing", "Automotive", "Baby_Products"),
    *("Beauty_and_Personal_Care", "Books", "CDs_and_Vinyl", "Cell_Phones_and_Accessories"),
    *("Clothing_Shoes_and_Jewelry", "Electronics", "Gift_Cards", "Grocery_and_Gourmet_Food"),
    *("Health_and_Household", "Home_and_Kitchen", "Industrial_and_Scientific", "Kindle_Store"),
    *("Magazine_Subscriptions", "Movies_and_TV", "Musical_Instruments", "Office_Products"),
    *("Patio_Lawn_and_Garden", "Pet_Supplies", "Software", "Sports_and_Outdoors"),
    *("Tools_and_Home_Improvement", "Toys_and_Games", "Video_Games", "Unknown"),
)
_MARKETS = (
    *("ae", "au", "br", "ca", "cn", "de", "es", "fr", "in"),
    *("it", "jp", "mx", "nl", "sa", "sg", "tr", "uk", "us"),
)
_XMARKET_CATEGORIES = (
    *("Arts_Crafts_and_Sewing", "Automotive", "Books", "CDs_and_Vinyl"),
    *("Cell_Phones_and_Accessories", "Digital_Music", "Electronics", "Grocery_and_Gourmet_Food"),
    *("Home_and_Kitchen", "Industrial_and_Scientific", "Kindle_Store", "Movies_and_TV"),
    *("Musical_Instruments", "Office_Products", "Sports_and_Outdoors", "Toys_and_Games"),
)


def _movielens(name: str, holds: str, domains: tuple[str, ...], size: str, sha256: str) -> DataSet:
    """Terms and note are those of the benchmarks, which the small one changes."""
    short = name.removeprefix("movielens-")
    file = f"ml-{short}.zip"
    return DataSet(
        name=name,
        title=f"MovieLens {short if 'small' in short else short.upper()}",
        holds=holds,
        reader=name,
        domains=domains,
        domains_are="A genre is a domain. A film of several genres is in each of them with all its "
        "ratings, so that two genres share people, and some films. The name without a domain "
        "stands for the whole set, every rating once.",
        example=("Drama", "Comedy"),
        shared="users",
        size=size,
        licence="research, not commercial",
        terms="For research, with acknowledgement. Neither commercial use nor redistribution "
        "without permission; no endorsement by the University of Minnesota or GroupLens may be "
        "implied.",
        citation=(_HARPER,),
        home="https://grouplens.org/datasets/movielens/",
        archive=RemoteFile(file, f"{_GROUPLENS}{file}", f"sha256:{sha256}"),
    )


def _amazon_ratings(category: str) -> RemoteFile:
    file = f"{category}.csv.gz"
    return RemoteFile(file, f"{_MCAULEY}benchmark/5core/rating_only/{file}")


def _amazon_titles(category: str) -> RemoteFile:
    file = f"meta_{category}.jsonl.gz"
    return RemoteFile(file, f"{_MCAULEY}raw/meta_categories/{file}")


def _douban_ratings(domain: str) -> RemoteFile:
    return RemoteFile(f"douban_{domain}.dat", f"{_DOUBAN}douban_{domain}/ratings.dat")


def _xmarket_file(domain: str, start: str, end: str) -> RemoteFile:
    market, category = domain.split("/")
    file = f"{start}_{market}_{category}.{end}"
    return RemoteFile(file, f"{_XMARKET}{domain}/{file}")


def _xmarket_ratings(domain: str) -> RemoteFile:
    return _xmarket_file(domain, "ratings", "txt.gz")


def _xmarket_titles(domain: str) -> RemoteFile:
    return _xmarket_file(domain, "metadata", "json.gz")


_SETS = (
    _movielens(
        "movielens-100k",
        "100,000 ratings (1 to 5) of 1,682 films by 943 people, 1997 and 1998, with titles",
        ("unknown", *_18_GENRES),
        "5 MB",
        "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    ),
    _movielens(
        "movielens-1m",
        "1,000,209 ratings (1 to 5) of 3,900 films by 6,040 people, 2000 to 2003, with titles",
        _18_GENRES,
        "6 MB",
        "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    ),
    replace(
        _movielens(
            "movielens-latest-small",
            "100,836 ratings (0.5 to 5) of 9,742 films by 610 people, 1996 to 2018, with titles",
            _LATEST_GENRES,
            "1 MB",
            "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
        ),
        terms="For research, with acknowledgement, and not for commercial use without permission. "
        "May be redistributed on the same terms; no endorsement by the University of Minnesota or "
        "GroupLens may be implied.",
        note="GroupLens may replace this file by a newer one, which then does not have the "
        "checksum that is known here; for results to be shared there are the other two.",
    ),
    DataSet(
        name="amazon-2023",
        title="Amazon Reviews 2023, 5-core",
        holds="Ratings (1 to 5) until September 2023 of people and products with at least five "
        "in a category: from 176 (Magazine_Subscriptions) to 28 million (Home_and_Kitchen). Titles "
        "are in files that are much larger than those of ratings",
        reader="amazon-2023",
        domains=_AMAZON_CATEGORIES,
        domains_are="A category is a domain, and any two share people.",
        example=("Toys_and_Games", "Video_Games"),
        shared="users",
        size="a file per category",
        licence="none stated; research",
        terms="The authors state no licence, as the reviews are not theirs, and offer the data for "
        "research. Do not redistribute it.",
        citation=(_HOU,),
        home="https://amazon-reviews-2023.github.io/",
        ratings=_amazon_ratings,
        titles=_amazon_titles,
        by_domain=True,
        note="The 5-core is one of each category on its own.",
    ),
    DataSet(
        name="douban",
        title="Douban, as prepared for GA-DTCDR",
        holds="Ratings (1 to 5) of books (96,041 by 2,110 people), music (69,709 by 1,672 people) "
        "and films from douban.com, without times or titles",
        reader="douban",
        domains=("book", "movie", "music"),
        domains_are="Books, films and music are the domains; people are numbered alike in all "
        "three. Items are numbered from 1 in each, so their ids here begin with the domain.",
        example=("movie", "book"),
        shared="users",
        size="1 MB each of book and music",
        licence="none stated; research, cite",
        terms="No licence is stated; the authors ask that one of their two papers is cited where "
        "the data are used.",
        citation=_ZHU,
        home="https://github.com/fengzhu1/GA-DTCDR",
        ratings=_douban_ratings,
        note="Papers link to github.com/FengZhu-Joey, a name that the authors gave up and somebody "
        "else has taken: do not fetch from there.",
    ),
    DataSet(
        name="xmarket",
        title="XMarket",
        holds="52.5 million ratings (1 to 5) of Amazon's products in 18 countries and 16 "
        "categories, with dates. Files of titles are much larger than those of ratings",
        reader="xmarket",
        domains=tuple(f"{market}/{name}" for market in _MARKETS for name in _XMARKET_CATEGORIES),
        domains_are="A category in a market is a domain, such as ca/Electronics. Markets share "
        "products, but no people.",
        example=("uk/Electronics", "de/Electronics"),
        shared="items",
        size="a file per domain",
        licence="none stated; academic purposes",
        terms="Released for academic purposes; no licence is stated. Do not redistribute it.",
        citation=(_BONAB,),
        home="https://xmrec.github.io/",
        ratings=_xmarket_ratings,
        titles=_xmarket_titles,
        by_domain=True,
        note="CDs_and_Vinyl and Kindle_Store are empty in many markets. Many products have "
        "variants with the same ratings: see what coldstart diagnose says of twins.",
    ),
    DataSet(
        name="book-crossing",
        title="Book-Crossing",
        holds="1,149,780 ratings of books by 278,858 people, August and September 2004, with "
        "titles and without times",
        reader="book-crossing",
        domains=("explicit", "implicit"),
        domains_are="Ratings from 1 to 10 are the domain explicit. Where people entered a book "
        "without rating it, that is the domain implicit. The two share people and books.",
        example=("implicit", "explicit"),
        shared="users",
        size="about 25 MB",
        licence="research, no redistribution",
        terms="Freely available for research when acknowledged with the reference below; no "
        "redistribution without permission.",
        citation=(_ZIEGLER,),
        home="http://www2.informatik.uni-freiburg.de/~cziegler/BX/",
        archive=RemoteFile(
            "BX-CSV-Dump.zip",
            "http://www2.informatik.uni-freiburg.de/~cziegler/BX/BX-CSV-Dump.zip",
            "md5:37d647ee9e18ba134ea6d78ee4fe5292",
        ),
        note="The home page is said to be offline. Whoever has BX-CSV-Dump.zip puts it where info "
        "says; it is then checked and read without the network.",
    ),
)
DATA_SETS = {each.name: each for each in _SETS}

"""Results as `results.json` holds them: one with every section, and one with next to nothing."""

import json
from html.parser import HTMLParser

import pytest

from coldstart.report import render

SHOTS = [0, 1, 2, 5, 10]
MEANS = {  # at the shots
    "popularity": [0.0290, 0.0291, 0.0288, 0.0286, 0.0283],
    "cold": [0.0, 0.0241, 0.0312, 0.0402, 0.0489],
    "mean-prior": [0.0312, 0.0341, 0.0372, 0.0445, 0.0538],
    "neighbours": [0.0449, 0.0455, 0.0461, 0.0470, 0.0474],
    "linear-rows": [0.0485, 0.0480, 0.0474, 0.0459, 0.0446],
    "joint": [0.0409, 0.0411, 0.0419, 0.0445, 0.0497],
    "warm:ridge": [0.0498, 0.0507, 0.0516, 0.0531, 0.0552],
}
WITHOUT = ("popularity", "cold", "mean-prior")
METRICS = ("ndcg", "recall", "mrr", "hit_rate", "coverage")
TITLES = (
    "Cast iron skillet, 26 cm",
    "Silicone baking mat, set of two",
    "Pour-over coffee dripper, ceramic, with a stand of walnut and forty paper filters",
    "Garlic press",
    "Digital kitchen scale to 5 kg",
    "Bamboo cutting board",
    "Vacuum food storage containers",
    "Matcha whisk & bowl",
    "Stoneware mug <blue>",
    "Salad spinner",
)


def row(arm, shots, mean, **more):
    half = 0.0028 if mean else 0.0
    return {
        "arm": arm,
        "shots": shots,
        "metric": "ndcg",
        "n": 10,
        "mean": mean,
        "ci_low": mean - half,
        "ci_high": mean + half,
        "users": 1200,
    } | more


def curve():
    return [
        row(arm, k, mean, uses_source=arm not in WITHOUT)
        for arm, means in MEANS.items()
        for k, mean in zip(SHOTS, means, strict=True)
    ]


def gains(scale=1.0):
    found = []
    for place, k in enumerate(SHOTS):
        base = MEANS["mean-prior"][place]
        more = scale * (MEANS["warm:ridge"][place] - base)
        found.append(
            {
                "shots": k,
                "baseline": "mean-prior",
                "difference": more,
                "ci_low": more - 0.0022,
                "ci_high": more + 0.0022,
                "p": 0.0002 if more > 0.002 else 0.13,
                "ratio": 1 + more / base,
                "ratio_low": 1 + (more - 0.0022) / base,
                "ratio_high": 1 + (more + 0.0022) / base,
                "effect": 11 * more,
                "gain": 0.31 - 0.03 * place,
                "lose": 0.12 + 0.02 * place,
                "unchanged": 0.57 + 0.01 * place,
            }
        )
    return found


def comparisons():
    found = []
    for arm, means in MEANS.items():
        for place, k in enumerate(SHOTS):
            more = means[place] - MEANS["mean-prior"][place]
            if arm != "mean-prior":
                found.append(
                    {
                        "arm": arm,
                        "baseline": "mean-prior",
                        "shots": k,
                        "metric": "ndcg",
                        "n": 10,
                        "difference": more,
                        "ci_low": more - 0.0022,
                        "ci_high": more + 0.0022,
                        "p": 0.0002,
                        "p_holm": 0.0012,
                        "users": 1200,
                        "ratio": 1 + more / 0.03,
                        "ratio_low": 0.9 + more / 0.03,
                        "ratio_high": 1.1 + more / 0.03,
                        "effect": 11 * more,
                    }
                )
    return found


def groups():
    kinds = {
        "activity": (
            "least active (5 to 8 in the source)",
            "medium active (9 to 14 in the source)",
            "most active (15 to 301 in the source)",
        ),
        "item popularity": ("least popular", "medium popular", "most popular"),
    }
    differences = {"activity": (0.013, 0.018, 0.026), "item popularity": (0.0008, 0.009, 0.031)}
    return [
        {
            "by": kind,
            "group": group,
            "shots": 0,
            "users": 400,
            "baseline": 0.03,
            "mean": 0.03 + more,
            "difference": more,
            "ci_low": more - 0.004,
            "ci_high": more + 0.004,
            "p": 0.0002 if more > 0.004 else 0.7,
        }
        for kind, names in kinds.items()
        for group, more in zip(names, differences[kind], strict=True)
    ]


def findings():
    return {
        "sentence": "Someone with no history in Kitchen gets 1.6x better recommendations; it "
        "equals 7.8 interactions; it helps until about 5; no group loses.",
        "answer": "gain",
        "protocol": "cold",
        "arm": "warm:ridge",
        "baseline": {str(k): "mean-prior" for k in SHOTS},
        "metric": "ndcg",
        "n": 10,
        "shots": SHOTS,
        "reserved": 10,
        "users": 1200,
        "curve": curve(),
        "gains": gains(),
        "saved": {
            "interactions": 7.8,
            "low": 6.9,
            "high": 8.8,
            "more_than": None,
            "by": "mean-prior",
        },
        "graduation": {"shots": 10, "helps_until": 5, "more_than": None},
        "groups": groups(),
        "lists": [
            {
                "arm": arm,
                "shots": k,
                "coverage": 0.01 + 0.11 * place,
                "popularity": 0.99 - 0.03 * place,
                "truth_popularity": 0.81,
            }
            for place, arm in enumerate(MEANS)
            for k in (0, 5)
        ],
        "without_twins": {"columns": 12, "curve": curve(), "gains": gains(0.93)},
        "smallest_detectable": {"shots": 0, "difference": 0.0031, "ratio": 1.1},
    }


def examples():
    return [
        {
            "person": f"person {number}",
            "source": ["Earl Grey, 100 bags", "Dark chocolate 85%", "Pour-over filters", "Matcha"],
            "given": [] if number == 1 else ["Milk frother"],
            "truth": [TITLES[2], TITLES[7], "Glass teapot"],
            "lists": {
                arm: [
                    {"item": TITLES[(start + place) % 10], "hit": (start + place) % 10 in (2, 7)}
                    for place in range(length)
                ]
                for arm, start, length in (("popularity", 3, 5), ("warm:ridge", 1, 5))
            },
        }
        for number in (1, 2)
    ]


GATE = """Gate open for fewer than 10 interactions, closed from 10 on, at a level of 0.05.
ndcg of warm:ridge at 0 shots: +0.0186 [+0.0160, +0.0212] over 0.0312 without a source \
(mean-prior), 1200 people; a gain of 0.0031, 9.9% of that, is found with 80% probability.
ndcg of warm:ridge at 10 shots: +0.0014 [-0.0008, +0.0036] over 0.0538 without a source \
(mean-prior), 1200 people; a gain of 0.0031, 5.8% of that, is found with 80% probability."""
HYGIENE = [
    ("twins", "note", "12 items of the target have the same neighbours as an item of the source."),
    ("repeated pairs", "ok", "No pair of a person and an item stands twice in the logs."),
    ("ids", "warning", "Ids of the source look like numbers and those of the target do not."),
    ("time", "ok", "No row of the source is from after the test period."),
    ("overlap", "ok", "4,811 people are in both catalogs, as many as chance does not explain."),
    ("size", "note", "With 1,200 people a true gain of 10% is found with a probability of 80%."),
]


def config():
    return {
        "side": "users",
        "protocol": "cold",
        "test_share": 0.2,
        "validation_share": 0.2,
        "order": "time",
        "shots": SHOTS,
        "arms": list(MEANS),
        "uses_source": {arm: arm not in WITHOUT for arm in MEANS},
        "metric": "ndcg",
        "n": 10,
        "factors": 64,
        "seed": 0,
        "seeds": [0],
        "trials": 24,
        "budget": None,
        "source": {"rows": 14681, "columns": 8713, "interactions": 151254, "repeated": 0},
        "target": {"rows": 22363, "columns": 12101, "interactions": 198502, "repeated": 17},
        "train": {"rows": 20021, "columns": 12013, "interactions": 180114, "repeated": 0},
        "eligible": 6000,
        "test": 1214,
        "validation": 1200,
        "test_interactions_outside_catalog": 31,
        "settings": {arm: {"factors": 64} for arm in MEANS},
        "cpu": "a processor",
        "cores": 2,
        "blas": ["openblas 0.3.30 Haswell"],
        "python": "3.11.7",
        "versions": {"coldstart": "0.1.0", "implicit": "0.7.3", "numpy": "2.4.6"},
        "names": ["Food", "Kitchen"],
        "files": {"source": "data/amazon.csv.gz#Food", "target": "data/amazon.csv.gz#Kitchen"},
        "command": "coldstart evaluate --source data/amazon.csv.gz#Food --target "
        "data/amazon.csv.gz#Kitchen --shots 0,1,2,5,10 --trials 24 --seed 0 --out results",
        "split": {"sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
    }


def full():
    trials = {
        arm: {
            "space": {"regularization": [1.0, 5.0, 20.0, 100.0], "alpha": [1, 5, 20]},
            "trials": [
                {
                    "shots": k,
                    "setting": {"regularization": 5.0 * (1 + place), "alpha": 20},
                    "quality": 0.03 + 0.001 * place,
                    "chosen": place == 2,
                }
                for k in SHOTS
                for place in range(3)
            ],
        }
        for arm in MEANS
    }
    others = [
        row(arm, k, scale * mean, metric=metric)
        for metric, scale in zip(METRICS, (1, 1.8, 0.9, 2.1, 9), strict=True)
        for arm, means in MEANS.items()
        for k, mean in zip(SHOTS, means, strict=True)
    ]
    return {
        "schema": 1,
        "config": config(),
        "rows": others,
        "comparisons": comparisons(),
        "timings": {arm: {"fit": 12.3, "predict": 0.4} for arm in MEANS},
        "findings": findings(),
        "gate": {"text": GATE},
        "hygiene": [
            {"check": check, "level": level, "text": text, "numbers": {"found": 12, "share": 0.01}}
            for check, level, text in HYGIENE
        ],
        "examples": examples(),
        "mixed": None,
        "trials": trials,
    }


def launched(levels=(0.05, 0.1, 0.3, 1.0)):
    """Results with several shares of the log, which have no shots."""
    results = full()
    found = results["findings"]
    gain = {key: found["gains"][0][key] for key in found["gains"][0] if key != "shots"}
    results["config"] |= {"protocol": "launch", "shots": [0], "levels": list(levels)}
    found |= {"protocol": "launch", "shots": [0], "reserved": 0, "gains": found["gains"][:1]}
    found["curve"] = [row for row in found["curve"] if row["shots"] == 0]
    found["levels"] = [
        gain | {"level": level, "shots": 0, "ratio": 1 + 0.6 / place, "p": 0.01 * place}
        for place, level in enumerate(levels, 1)
    ]
    results["rows"] = [
        row(arm, 0, means[0] * (0.5 + 0.5 * place / len(levels)), level=level)
        for place, level in enumerate(levels, 1)
        for arm, means in MEANS.items()
    ]
    return results


@pytest.fixture(scope="session")
def complete():
    """Every section; not to be changed."""
    return full()


@pytest.fixture
def results():
    """Every section; free to be changed."""
    return full()


@pytest.fixture
def launch():
    """A launch with all sections."""
    return launched()


@pytest.fixture(scope="session")
def page(complete):
    """Every section as HTML."""
    return render(complete)


@pytest.fixture(scope="session")
def hostile_page():
    """The same where names would be markup, mathematics or long if they could."""
    bad = '"><script>alert(1)</script><img src=x onerror=alert(2)>$x_1^2$ & ' + 40 * "long"
    text = json.dumps(full())
    for name in ("warm:ridge", "joint", TITLES[0], "least active", "alpha", "Kitchen"):
        text = text.replace(name, json.dumps(f"{name} {bad}")[1:-1])
    return render(json.loads(text))


@pytest.fixture(scope="session")
def launch_page():
    """A launch as HTML."""
    return render(launched())


@pytest.fixture
def minimal():
    """What an evaluation of the first version wrote, with one number that is not known."""
    return {
        "schema": 1,
        "config": {"side": "users", "metric": "ndcg", "n": 10, "shots": [0, 5], "test": 30},
        "rows": [
            row("popularity", 0, 0.25, users=30),
            row("popularity", 5, 0.2, users=0) | dict.fromkeys(("mean", "ci_low", "ci_high")),
        ],
        "comparisons": [],
        "timings": {},
    }


VOID = {"meta", "br", "hr", "img", "link", "input", "wbr", "col", "base", "area", "source"}


class Page(HTMLParser):
    """Elements of a page in their order, as (tag, attributes, text), every tag closed in turn."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {[self.elements[k][0] for k in self.open]}"

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {attrs}"
        self.elements.append([tag, dict(attrs), ""])
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        began = self.elements[self.open.pop()][0]
        assert began == tag, f"</{tag}> closes <{began}>"

    def handle_data(self, data):
        for place in self.open:
            self.elements[place][2] += data

    def all(self, *tags):
        """The elements with one of these tags."""
        return [element for element in self.elements if element[0] in tags]

    def texts(self, *tags):
        """Their texts, spaces and line ends as one space."""
        return [" ".join(text.split()) for _, _, text in self.all(*tags)]


@pytest.fixture
def parsed():
    """A function that reads a page."""
    return Page

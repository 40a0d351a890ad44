"""The page in headless Chromium: nothing overflows or is cut off, and no request leaves it.

Skipped where there is no browser: `apt-get install chromium`.
"""

import shutil

import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SIZES = ((1280, 800), (390, 844))
PAPER = {"light": (255, 255, 255), "dark": (20, 23, 27)}

# Texts that reach out of the page, are cut off by their box, or lie over another text of a chart.
# What scrolls on its own may be wider, and what is folded away is not there.
FAULTS = """() => {
  const faults = [], width = document.documentElement.clientWidth;
  const scrolls = (element) => element.closest(".scroll");
  const shown = (element) => element.checkVisibility({contentVisibilityAuto: true});
  for (const element of document.body.querySelectorAll(":not(svg *), text")) {
    if (!shown(element) || scrolls(element)) continue;
    const text = element.textContent.slice(0, 40);
    const says = `${element.tagName}.${element.className}: ${text}`;
    const box = element.getBoundingClientRect();
    if (box.width && (box.left < -0.5 || box.right > width + 0.5)) faults.push("outside " + says);
    const style = getComputedStyle(element);
    const cuts = style.overflowX !== "visible" || style.overflowY !== "visible";
    const over = element.scrollWidth > element.clientWidth + 1;
    if (over && (cuts || style.display === "block") && !element.closest("svg")) {
      faults.push("cut " + says);
    }
  }
  for (const chart of document.querySelectorAll("svg")) {
    if (!shown(chart)) continue;
    const texts = [...chart.querySelectorAll("text")].filter((text) => text.textContent.trim());
    const boxes = texts.map((text) => text.getBoundingClientRect());
    for (let i = 0; i < boxes.length; i++) for (let j = 0; j < i; j++) {
      const [a, b] = [boxes[i], boxes[j]], by = 3;  // pixels of a line that no letter is in
      if (a.left < b.right && b.left < a.right && a.top + by < b.bottom && b.top + by < a.bottom) {
        faults.push("over each other " + texts[i].textContent + " | " + texts[j].textContent);
      }
    }
  }
  return faults;
}"""


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path)
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(page, hosted):
    return hosted(page)


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    """A function that gives a page its address."""

    def at(html):
        path = tmp_path_factory.mktemp("report") / "report.html"
        path.write_text(html, encoding="utf-8")
        return path.as_uri()

    return at


@pytest.fixture
def visit(browser):
    """A function that opens an address, and tells every request and complaint of the page."""
    opened = []

    def go(address, size=SIZES[0], scheme="light"):
        viewport = dict(zip(("width", "height"), size, strict=True))
        page = browser.new_page(viewport=viewport, color_scheme=scheme)
        opened.append(page)
        told = []
        page.on("request", lambda request: told.append(request.url))
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.goto(address)
        return page, told

    yield go
    for page in opened:
        page.close()


@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_follows_the_scheme_and_asks_for_nothing(
    visit, address, tmp_path, size, scheme
):
    page, told = visit(address, size, scheme)
    assert told == [address]
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate(FAULTS) == []
    picture = tmp_path / "page.png"
    page.screenshot(path=picture)
    with Image.open(picture) as image:
        assert image.width == size[0]
        assert image.getpixel((2, 2))[:3] == PAPER[scheme]


@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
def test_details_that_are_opened_fit_too(visit, address, size):
    page, _ = visit(address, size)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate(FAULTS) == []


def test_the_first_screen_has_the_verdict_and_its_figures(visit, address):
    page, _ = visit(address)
    bottoms = page.eval_on_selector_all(
        "h1, .figures", "all => all.map((one) => one.getBoundingClientRect().bottom)"
    )
    assert len(bottoms) == 2
    assert max(bottoms) <= SIZES[0][1]


@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
def test_names_that_are_long_or_markup_neither_run_nor_break_the_page(
    visit, hosted, hostile_page, size
):
    address = hosted(hostile_page)
    page, told = visit(address, size)
    assert told == [address]
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate(FAULTS) == []


@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
def test_a_launch_fits(visit, hosted, launch_page, size):
    page, _ = visit(hosted(launch_page), size)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate(FAULTS) == []


def test_on_paper_it_is_light_and_folded_tables_are_there(visit, address):
    page, _ = visit(address, scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    table = page.locator("#fates details table").first
    assert table.bounding_box()["height"] > 50
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_requests_and_faults_would_be_seen(visit, hosted, page):
    """The checks above can fail."""
    image = '<img src="file:///nowhere.png" alt="">'
    wide = '<p style="width: 2000px; max-width: none">wide</p>'
    short = '<p style="width: 40px; overflow: hidden; white-space: nowrap">cut off here</p>'
    broken = page.replace("<main>", f"<main>{image}{wide}{short}")
    seen, told = visit(hosted(broken))
    assert "nowhere.png" in " ".join(told[1:])
    assert seen.evaluate("document.documentElement.scrollWidth") > SIZES[0][0]
    faults = seen.evaluate(FAULTS)
    assert "outside P.: wide" in faults
    assert "cut P.: cut off here" in faults

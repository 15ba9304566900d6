"""The review page in a real browser: what a person does in the morning, and what a hostile name may not do."""

from __future__ import annotations

import functools
import re
import socket
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import Browser
from tests.unit.report.state_builder import HOSTILE, JOB, StateBuilder, large
from venice_batch.state import ItemId, ItemMoved

pytestmark = pytest.mark.browser

FAILED = {"broken/camera.png", "lamps/lamp-02.png", "lamps/torchère-01.png"}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


def chip(browser: Browser, name: str) -> None:
    browser.one(f"#chips [data-filter={name}]").click()


def search(browser: Browser, text: str) -> None:
    browser.one("#search").clear()
    browser.one("#search").send_keys(text)


def shown_item(browser: Browser) -> str:
    return browser.one("#v-name").text if browser.run("return document.querySelector('#view').open") else ""


def focused(browser: Browser) -> str | None:
    return browser.driver.switch_to.active_element.get_attribute("data-name")


def loaded(browser: Browser) -> bool:
    """Whether every picture in sight is there; the others wait until they come into sight."""
    return bool(
        browser.run("""
            const seen = [...document.images].filter((one) => {
              const box = one.getBoundingClientRect();
              return one.src && box.height && box.top < innerHeight && box.bottom > 0;
            });
            return seen.length > 0 && seen.every((one) => one.complete && one.naturalWidth > 0);
        """)
    )


def test_the_page_opens_from_disk_without_complaint_and_asks_for_nothing_but_its_own_pictures(
    browser: Browser, review: Path
) -> None:
    browser.open(review)
    browser.run("window.scrollTo(0, document.body.scrollHeight)")
    browser.until(lambda: loaded(browser))
    home = review.parent.as_uri()
    asked = browser.requests()
    assert browser.complaints() == []
    assert len(asked) > 20
    assert [url for url in asked if not (url == review.as_uri() or url.startswith(f"{home}/thumbnails/"))] == []


def test_the_policy_of_the_page_keeps_every_other_request_from_being_made(browser: Browser, review: Path) -> None:
    browser.open(review)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        browser.run("new Image().src = arguments[0]", f"http://127.0.0.1:{server.getsockname()[1]}/beacon")
        browser.until(lambda: any("Content Security Policy" in text for text in browser.complaints()))
        with pytest.raises(TimeoutError):
            server.accept()


def test_hostile_names_are_text(browser: Browser, review: Path) -> None:
    browser.open(review)
    assert browser.driver.title == f"{JOB} · review"
    assert set(HOSTILE) <= set(browser.names())
    for name in HOSTILE:
        browser.run(
            "[...document.querySelectorAll('.card')].find(one => one.dataset.name === arguments[0]).click()", name
        )
        # The text as it stands in the document: what is drawn leaves out marks of direction.
        browser.until(lambda: browser.run("return document.querySelector('#view').open"))
        assert browser.run("return document.querySelector('#v-name').textContent") == name
        browser.press(Keys.ESCAPE)
    assert browser.all("main img[src=x], dialog img[src=x]") == []
    assert browser.run("return document.scripts.length") == 3
    assert browser.driver.title == f"{JOB} · review"
    assert browser.complaints() == []


def test_a_link_to_a_finished_file_leads_to_it_whatever_it_is_called(browser: Browser, review: Path) -> None:
    name = HOSTILE[1]
    browser.open(review)
    browser.run("[...document.querySelectorAll('.card')].find(one => one.dataset.name === arguments[0]).click()", name)
    address = browser.run("return document.querySelector('#v-facts a').href")
    browser.driver.get(address)
    assert browser.run("return document.images[0].naturalWidth") == 480


def test_the_page_works_from_a_web_server_too(browser: Browser, review: Path) -> None:
    handler = functools.partial(_Quiet, directory=str(review.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.forget()
        browser.driver.get(f"http://127.0.0.1:{server.server_port}/index.html")
        browser.run("document.querySelector('#grid').scrollIntoView()")
        browser.until(lambda: loaded(browser))
        paths = [urlsplit(url).path for url in browser.requests()]
        server.shutdown()
    assert [path for path in paths if not path.startswith("/thumbnails/")] == ["/index.html"]
    assert browser.complaints() == []


def test_items_that_read_alike_are_not_mistaken_for_each_other(browser: Browser, empty_state: StateBuilder) -> None:
    empty_state.begin()
    empty_state.item("a-1", "failed", "x", "the key itself")
    empty_state.gather()
    empty_state.state.commit([ItemMoved(ItemId(JOB, "a", 1), "v1", "f1", "failed", empty_state.at, "x", "the variant")])
    browser.open(empty_state.report())
    told = set()
    for card in range(2):
        browser.all(".card")[card].click()
        told.add(browser.one("#v-reason").text)
        browser.press(Keys.ESCAPE)
    assert told == {"the key itself", "the variant"}


def test_what_needs_a_look_comes_first(browser: Browser, review: Path) -> None:
    browser.open(review)
    assert browser.one("h1").text == "6 of 32 items to look at"
    assert set(browser.names()[:3]) == FAILED
    assert set(browser.names()[3:5]) == {"mugs/mug-01.png", "mugs/mug-02.png"}
    assert browser.names()[5] == "rings/ring-01.png"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("failed", FAILED),
        ("flagged", {"mugs/mug-01.png", "mugs/mug-02.png"}),
        ("uncertain", {"rings/ring-01.png"}),
        ("waiting", {"later/vase.png"}),
    ],
)
def test_a_filter_shows_its_items_only(browser: Browser, review: Path, name: str, wanted: set[str]) -> None:
    browser.open(review)
    chip(browser, name)
    assert set(browser.names()) == wanted
    assert browser.one(f"#chips [data-filter={name}]").get_attribute("aria-pressed") == "true"
    assert browser.one("#count").text == f"{len(wanted)} item{'s' if len(wanted) > 1 else ''}"
    chip(browser, "all")
    assert len(browser.names()) == 32


def test_the_most_expensive_come_in_order_and_without_those_that_cost_nothing(browser: Browser, review: Path) -> None:
    browser.open(review)
    chip(browser, "costly")
    prices = [one.text for one in browser.all(".card .under span:last-child")]
    assert prices == sorted(prices, reverse=True)
    assert prices[0] == "$0.26"
    assert prices[-1] == "$0.03"
    assert FAILED.isdisjoint(browser.names())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("TORCHÈRE", {"lamps/torchère-01.png"}),
        ("content policy", {"lamps/torchère-01.png"}),
        ("req-lost", {"rings/ring-01.png"}),
        ("mug blurred", {"mugs/mug-01.png"}),
        ("<script>document", {HOSTILE[0]}),
        ("no such thing", set()),
    ],
)
def test_search_looks_at_names_reasons_and_request_ids(
    browser: Browser, review: Path, text: str, wanted: set[str]
) -> None:
    browser.open(review)
    search(browser, text)
    browser.until(lambda: set(browser.names()) == wanted)


def test_the_slider_moves_the_line_between_before_and_after(browser: Browser, review: Path) -> None:
    browser.open(review)
    search(browser, "handbag-03")
    browser.one(".card").click()
    browser.until(lambda: loaded(browser))
    widths = "const box = document.querySelector(arguments[0]); return getComputedStyle(box).clipPath"
    assert browser.one("#tag-l").text == "Before"
    assert browser.one("#tag-r").text == "Finished"
    assert browser.run(widths, ".layer.left") == "inset(0px 50% 0px 0px)"
    slide = browser.one("#slide")
    ActionChains(browser.driver).move_to_element_with_offset(slide, slide.size["width"] // 4, 0).click().perform()
    at = int(slide.get_attribute("value") or 0)
    assert 70 <= at <= 80
    assert browser.run(widths, ".layer.left") == f"inset(0px {100 - at}% 0px 0px)"
    assert browser.run(widths, ".layer.right") == f"inset(0px 0px 0px {at}%)"
    browser.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert browser.run(widths, ".layer.right") == f"inset(0px 0px 0px {at - 2}%)"


def test_every_step_can_be_compared_with_every_other(browser: Browser, review: Path) -> None:
    browser.open(review, "#item=bags/handbag-03.png")
    labels = [one.text.split("\n")[-2] for one in browser.all("#strip button")]
    assert labels == ["Before", "background-remove", "staged", "Finished"]
    assert re.search("640 . 480", browser.all("#strip button")[1].text)
    browser.press("2")
    assert browser.one("#tag-r").text == "background-remove"
    browser.run(
        "const base = document.querySelector('#base'); base.value = '2'; base.dispatchEvent(new Event('change'))"
    )
    assert browser.one("#tag-l").text == "staged"
    left, right = browser.one("#left").get_attribute("src"), browser.one("#right").get_attribute("src")
    assert left != right
    browser.press("3")
    # A picture beside itself is one picture.
    assert not browser.one("#slide").is_displayed()


def test_an_item_tells_its_reason_its_calls_and_their_request_ids(browser: Browser, review: Path) -> None:
    browser.open(review)
    chip(browser, "uncertain")
    browser.one(".card").click()
    assert "may have been charged" in browser.one("#v-reason").text
    calls = browser.one("#v-calls").text
    assert "background-remove" in calls
    assert "$0.23 uncertain" in calls
    assert "the connection was reset" in calls
    assert "req-lost" in calls


def test_everything_can_be_done_with_the_keyboard_alone(browser: Browser, review: Path) -> None:
    browser.open(review)
    browser.press("/")
    assert browser.driver.switch_to.active_element.get_attribute("id") == "search"
    browser.type("handbag")
    first, *_ = names = browser.names()
    browser.press(Keys.TAB)
    assert browser.driver.switch_to.active_element.get_attribute("id") == "order"
    browser.press(Keys.TAB)
    assert focused(browser) == first
    browser.press(Keys.ARROW_RIGHT)
    assert focused(browser) == names[1]
    browser.press(Keys.ARROW_DOWN)
    below = names.index(focused(browser) or "")
    assert below > 2
    browser.press(Keys.ARROW_UP, Keys.ENTER)
    browser.until(lambda: shown_item(browser) == names[1])
    browser.press("j")
    assert shown_item(browser) == names[2]
    browser.press("k", "k")
    assert shown_item(browser) == first
    browser.press("k")
    assert shown_item(browser) == first
    browser.press(Keys.ARROW_RIGHT)
    assert browser.one("#slide").get_attribute("value") == "51"
    browser.press(Keys.ESCAPE)
    browser.until(lambda: shown_item(browser) == "")
    assert focused(browser) == first
    assert browser.complaints() == []


def test_the_way_back_closes_an_item_and_an_address_opens_it(browser: Browser, review: Path) -> None:
    browser.open(review)
    chip(browser, "flagged")
    browser.one(".card").click()
    name = shown_item(browser)
    address = browser.driver.current_url
    browser.driver.back()
    browser.until(lambda: shown_item(browser) == "")
    assert len(browser.names()) == 2
    browser.driver.get("about:blank")
    browser.driver.get(address)
    assert shown_item(browser) == name
    assert len(browser.names()) == 2


@pytest.mark.parametrize("address", ["#item=nobody", "#show=nothing&order=none&page=-3&q=%", "#page=999"])
def test_an_address_that_makes_no_sense_shows_the_page(browser: Browser, review: Path, address: str) -> None:
    browser.open(review, address)
    assert browser.one("h1").text
    assert browser.complaints() == []


def test_the_charts_show_this_run_or_all(browser: Browser, review: Path) -> None:
    browser.open(review)
    of_run, of_all = browser.all(".charts")
    assert (of_run.is_displayed(), of_all.is_displayed()) == (True, False)
    assert len(of_run.find_elements("css selector", ".good")) > 5
    browser.one("[data-show=all]").click()
    assert (of_run.is_displayed(), of_all.is_displayed()) == (False, True)


@pytest.mark.parametrize("dark", [False, True])
def test_words_stand_out_from_what_is_behind_them_by_day_and_by_night(
    browser: Browser, review: Path, *, dark: bool
) -> None:
    browser.size(1280, 900, dark=dark)
    browser.open(review)
    assert {name: ratio for name, ratio in browser.run(_CONTRASTS).items() if ratio < 4.5} == {}


@pytest.mark.parametrize("at", ["", "#item=bags/handbag-03.png"])
def test_nothing_is_wider_than_a_phone(browser: Browser, review: Path, at: str) -> None:
    browser.size(390, 844)
    browser.open(review, at)
    browser.run("document.querySelector('#grid').scrollIntoView()")
    browser.until(lambda: loaded(browser))
    assert browser.run("return document.documentElement.scrollWidth") == 390
    assert browser.run(
        "const body = document.querySelector('#view .body'); return body.scrollWidth <= body.clientWidth"
    )


def test_ten_thousand_items_are_there_within_a_second_and_few_of_them_in_the_document(
    browser: Browser, empty_state: StateBuilder
) -> None:
    large(empty_state)
    browser.open(empty_state.report())
    ready = browser.run("return performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert len(browser.names()) == 60
    assert browser.run("return document.querySelectorAll('*').length") < 2000
    assert browser.one("#where").text == "1 of 167"
    search(browser, "refused 9797")
    browser.until(lambda: browser.one("#count").text == "1 item")
    browser.press(Keys.ESCAPE)
    browser.until(lambda: len(browser.names()) == 60)
    browser.one("#next").click()
    assert browser.one("#where").text == "2 of 167"
    assert focused(browser) == browser.names()[0]
    # The machine may be busy with other tests; at rest it takes a third of that.
    assert ready < 3000


def test_a_state_without_anything_in_it_makes_a_page_too(browser: Browser, empty_state: StateBuilder) -> None:
    browser.open(empty_state.report())
    assert browser.one("h1").text == "Nothing here yet"
    assert browser.complaints() == []


_CONTRASTS = """
const luminance = (colour) => {
  const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
};
const behind = (one) => {
  for (; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (!/, 0\\)$/.test(colour) && colour !== "transparent") return colour;
  }
  return "rgb(255, 255, 255)";
};
const found = {};
for (const selector of ["h1", ".job", ".outcome", ".note", ".soft", ".tile p", ".tile.alert b", ".why", ".name",
  "#chips button", "#chips [aria-pressed=true]", "td .model", "td.warn", ".under", "footer p", "footer a", "kbd"]) {
  const one = document.querySelector(selector);
  const [high, low] = [luminance(getComputedStyle(one).color), luminance(behind(one))].sort((a, b) => b - a);
  found[selector] = (high + 0.05) / (low + 0.05);
}
return found;
"""

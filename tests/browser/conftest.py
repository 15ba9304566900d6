"""A real Chromium without a window, that tells what it asked for and what it complained about."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.unit.report.state_builder import StateBuilder, building, mixed

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Whatever asks for a name gets no answer: a page that needs the network would be seen to fail.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@dataclass
class Browser:
    """One window."""

    driver: webdriver.Chrome

    def open(self, page: Path, at: str = "") -> None:
        self.driver.get("about:blank")
        self.forget()
        self.driver.get(page.as_uri() + at)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def names(self) -> list[str]:
        """The names on the cards that exist, in order."""
        return list(self.run("return [...document.querySelectorAll('.card')].map(one => one.dataset.name)"))

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys: str) -> None:
        """Press keys on whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def type(self, text: str) -> None:
        self.press(text)

    def until(self, holds: Callable[[], object]) -> None:
        WebDriverWait(self.driver, 5, poll_frequency=0.02).until(lambda _: holds())

    def size(self, width: int, height: int, *, dark: bool = False, scale: float = 1) -> None:
        """Be a screen of that many CSS pixels."""
        mobile = width < 600
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})

    def forget(self) -> None:
        """Drop what was noted so far."""
        self.requests()
        self.complaints()

    def requests(self) -> list[str]:
        """Every address that was asked for since the last look."""
        noted = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        return [note["params"]["request"]["url"] for note in noted if note["method"] == "Network.requestWillBeSent"]

    def _log(self, kind: str) -> list[dict[str, Any]]:
        return list(self.driver.get_log(kind))  # type: ignore[no-untyped-call]  # Selenium left this one out

    def complaints(self) -> list[str]:
        """What stands in the console: errors, and what the page's own policy kept away."""
        return [entry["message"] for entry in self._log("browser")]

    def shoot(self, file: Path) -> None:
        self.driver.save_screenshot(str(file))


@contextmanager
def browser_in(profile: Path) -> Iterator[Browser]:
    """Start a browser with a profile of its own."""
    options = Options()
    options.binary_location = CHROMIUM or ""
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


@pytest.fixture(scope="session")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The one browser of all tests; starting it takes longer than any of them."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
    with browser_in(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def browser(one_browser: Browser) -> Browser:
    """A window of a desktop computer, in daylight."""
    one_browser.size(1280, 900)
    return one_browser


@pytest.fixture(scope="session")
def review(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a night with items of every kind."""
    with building(tmp_path_factory.mktemp("state")) as built:
        mixed(built)
        return built.report()


@pytest.fixture
def empty_state(tmp_path: Path) -> Iterator[StateBuilder]:
    """A state in which nothing has happened."""
    with building(tmp_path) as built:
        yield built

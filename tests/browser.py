"""Chromium without a screen: pages are opened as a person opens them, without internet.

Needs Debian's `chromium` and `chromium-driver` and the Python package `selenium`; a test that asks
for `browser` is skipped with the reason where one of them is missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any, Protocol, cast

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # for root in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--force-color-profile=srgb",
    "--window-size=1280,1000",
    # No page of ours may need the internet: here it has this machine alone.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)


class Browser(Protocol):
    """What the tests ask of `selenium.webdriver.Chrome`, which may not be installed."""

    def get(self, url: str) -> None: ...

    def execute_script(self, script: str, *args: object) -> Any: ...

    def execute_cdp_cmd(self, cmd: str, cmd_args: dict[str, Any]) -> Any: ...

    def get_log(self, log_type: str) -> list[dict[str, Any]]: ...


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests of a session; it logs what a page complains of."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver are not on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in FLAGS:
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=driver)
    running = webdriver.Chrome(options=options, service=service)
    try:
        yield cast(Browser, running)
    finally:
        running.quit()


def console_errors(browser: Browser) -> list[str]:
    """What the console says since it was last asked: errors of scripts, refused addresses."""
    return [entry["message"] for entry in browser.get_log("browser")]

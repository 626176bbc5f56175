"""A Chromium that is on this machine, without a window."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """Return the path of the program, or None where there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def launched(program: str, *arguments: str) -> Iterator[Browser]:
    """Run the program. While it runs, asyncio takes its event loop for running in this thread."""
    with sync_playwright() as playwright:
        # It is shown pages of this repository only, and its own sandbox cannot be had in a container.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", *arguments])
        try:
            yield browser
        finally:
            browser.close()

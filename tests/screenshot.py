"""Take docs/try.png of a running service: `make serve` in one window, `python -m tests.screenshot URL` in another."""

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, expect

from tests.browser import find_chromium, launched

_PICTURE = Path(__file__).parents[1] / "docs" / "try.png"
_COLOURS = 128
_SIZE = {"width": 1120, "height": 1200}  # nothing needs to be scrolled to


def take(browser: Browser, url: str, picture: Path) -> None:
    """Answer three of the four questions on a service's page /try, and take a picture of what it says.

    Args:
        browser: runs.
        url: of the service, without a slash at its end.
        picture: the PNG file to write.
    """
    with browser.new_page(viewport=_SIZE, color_scheme="light", reduced_motion="reduce") as page:
        page.goto(f"{url}/try")
        page.get_by_label("Body mass index", exact=True).fill("28.5")
        page.get_by_role("radio", name="Good", exact=True).check()
        page.get_by_label("Age", exact=True).select_option("FROM_60_TO_64")
        page.get_by_role("button", name="Estimate the risk").click()
        expect(page.locator("#result")).to_have_attribute("data-state", "answer")
        page.evaluate("document.activeElement.blur()")
        page.mouse.move(0, 0)
        content = page.screenshot(full_page=True)
    with Image.open(io.BytesIO(content)) as image:
        image.convert("RGB").quantize(_COLOURS).save(picture, optimize=True)


def main() -> None:
    """Take the picture, of the service whose URL is the first argument."""
    program = find_chromium()
    if len(sys.argv) != 2 or program is None:
        raise SystemExit("Expected a chromium on the PATH, and: python -m tests.screenshot http://127.0.0.1:8000")
    with launched(program) as browser:
        take(browser, sys.argv[1].rstrip("/"), _PICTURE)
    print(f"Wrote {_PICTURE}: {_PICTURE.stat().st_size / 1_000:.0f} kB.")


if __name__ == "__main__":
    main()

"""The book: it builds without a warning, has every page, leads nowhere else, and asks nobody else for anything."""

import functools
import importlib.util
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from notebooks.build import chapters, read_notebook
from tests.browser import find_chromium, launched

ROOT = Path(__file__).parents[1]
PAGES = [
    *(path.relative_to(ROOT).with_suffix("") for path in chapters()),
    *(path.relative_to(ROOT).with_suffix("") for path in sorted(ROOT.glob("docs/**/*.md"))),
    *(path.relative_to(ROOT).with_suffix("") for path in sorted(ROOT.glob("[a-z]*/README.md"))),
    Path("README"),
    Path("CHANGELOG"),
]
_LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
_ELSEWHERE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)
_LOADED_BY_STYLE = re.compile(r"(?:@import|url\()\s*['\"]?((?:https?:)?//[^'\")]+)")
_SECONDS = 1_200
_README = """# Title

> **Tip.** *Read* this.

> **Not** a callout.

[decisions](docs/decisions), [program](code/program.py), [folder](code), [bytes](picture.bin)
"""

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("sphinx_book_theme"), reason="the packages of the extra `book` are not installed"
)


class _Page(HTMLParser):
    """What a page offers (ids), what it links to, and what a browser loads with it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.add(values.get("id") or "")
        if tag == "a" and values.get("href"):
            self.links.append(values["href"] or "")
        elif tag in _LOADED and values.get(_LOADED[tag]):
            self.loaded.append(values[_LOADED[tag]] or "")


def _build(source: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", str(ROOT / "docs" / "book")]
    command += ["-d", str(folder / "doctrees"), str(source), str(folder / "site")]
    return subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=_SECONDS)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("book")
    done = _build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository, with what `_README` links to."""
    source = tmp_path / "source"
    for name, text in {
        "README.md": _README,
        "notebooks/README.md": "# Chapters\n",
        "docs/decisions/0001-one.md": "# 1. One <thing>\n",
        "code/program.py": "print('<b>')\n",
    }.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    (source / "picture.bin").write_bytes(b"\xff\xfe\x00\xff")
    return source


@pytest.fixture(scope="module")
def pages(book: Path) -> dict[Path, _Page]:
    return {path: _Page(path) for path in sorted(book.rglob("*.html")) if "_static" not in path.parts}


@pytest.fixture
def address(book: Path) -> Iterator[str]:
    """The URL of the site, served on this machine."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(book))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_every_chapter_and_document_has_a_page_that_the_contents_list(book: Path, pages: dict[Path, _Page]) -> None:
    listed = {unquote(link) for link in pages[book / "index.html"].links}
    for page in PAGES:
        assert (book / f"{page}.html").is_file(), page
        assert f"{page}.html" in listed or page == Path("README"), page


def test_a_chapter_shows_its_committed_outputs(book: Path) -> None:
    for chapter in chapters():
        cells = read_notebook(chapter.with_suffix(".ipynb")).cells
        outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
        shown = (book / "notebooks" / f"{chapter.stem}.html").read_text()
        assert outputs
        assert shown.count('class="cell_output') == sum(1 for cell in cells if cell.get("outputs")), chapter.stem
        pictures = sum(1 for output in outputs if any(kind.startswith("image/") for kind in output.get("data", ())))
        assert len(re.findall(r'<img[^>]* src="\.\./_images/', shown)) >= pictures


def test_callouts_are_callouts(book: Path) -> None:
    words = {"Notice": "note", "Remember": "important", "Warning": "warning", "Tip": "tip"}
    for chapter in chapters():
        shown = (book / "notebooks" / f"{chapter.stem}.html").read_text()
        written = re.findall(r"^> \*\*(\w+)\.\*\*", chapter.read_text(), re.MULTILINE)
        for word, kind in words.items():
            found = re.findall(rf'<div class="admonition {kind}">\s*<p class="admonition-title">{word}<', shown)
            assert len(found) == written.count(word), (chapter.stem, word)
        assert "<blockquote" not in shown


def test_every_link_leads_to_a_file_and_an_anchor(book: Path, pages: dict[Path, _Page]) -> None:
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            if re.match(r"https?:|data:|mailto:", link) or link == "#":
                continue
            place, _, anchor = unquote(link).partition("#")
            target = (path.parent / place.partition("?")[0]).resolve() if place else path
            assert target.is_file(), f"{path.relative_to(book)} links to {link}"
            assert target.is_relative_to(book), f"{path.relative_to(book)} links out of the book: {link}"
            if anchor and target in pages:
                assert anchor in pages[target].ids, f"{path.relative_to(book)} links to {link}"


def test_links_to_sources_show_them(book: Path) -> None:
    shown = book / "files" / "signed_parameters" / "verification.py.html"
    assert "verify_package" in shown.read_text()


def test_nothing_is_loaded_from_elsewhere(book: Path, pages: dict[Path, _Page]) -> None:
    for path, page in pages.items():
        assert [link for link in page.loaded if _ELSEWHERE.match(link)] == [], path
    for style in book.rglob("*.css"):
        assert _LOADED_BY_STYLE.findall(style.read_text(encoding="utf-8")) == [], style


def test_it_names_no_place_of_this_machine(book: Path) -> None:
    for path in book.rglob("*"):
        if path.suffix in {".html", ".js", ".json", ".txt"}:
            text = path.read_text(encoding="utf-8")
            assert str(ROOT) not in text, path
            assert str(book) not in text, path


def test_in_a_browser_it_shows_its_pictures_finds_words_and_asks_nobody_else(address: str) -> None:
    program = find_chromium()
    if program is None:
        pytest.skip("no chromium on the PATH")
    asked: list[str] = []
    failed: list[str] = []
    with launched(program) as browser, browser.new_page() as page:
        page.on("request", lambda request: asked.append(request.url))
        page.on("response", lambda response: failed.append(response.url) if response.status >= 400 else None)
        page.on("pageerror", lambda error: failed.append(str(error)))
        for name in ("", "notebooks/02_the_data.html", "notebooks/03_training.html"):
            page.goto(f"{address}/{name}", wait_until="load")
            widths = page.eval_on_selector_all("article img", "all => all.map(one => one.naturalWidth)")
            assert widths
            assert all(width > 0 for width in widths)
        page.goto(f"{address}/notebooks/02_the_data.html", wait_until="load")
        report = page.frame_locator("article iframe")
        report.get_by_text("HighBloodPressure").first.wait_for(state="attached")
        page.goto(f"{address}/search.html?q=watchman", wait_until="load")
        page.locator("#search-results li a", has_text="7. Fetching").first.wait_for()
    assert [url for url in asked if not url.startswith((f"{address}/", "data:", "blob:"))] == []
    assert failed == []


def test_links_and_callouts_of_each_kind(repository: Path, tmp_path: Path) -> None:
    done = _build(repository, tmp_path)
    assert done.returncode == 0, done.stderr
    front = tmp_path / "site" / "index.html"
    text, links = front.read_text(), _Page(front).links
    assert '<div class="admonition tip">' in text
    assert text.count("<blockquote") == 1
    assert "docs/decisions/0001-one.html" in links
    assert "files/code/program.py.html" in links
    assert ">print<" in (tmp_path / "site/files/code/program.py.html").read_text()
    assert "<b>" not in (tmp_path / "site/files/code/program.py.html").read_text()
    assert not any(link.rstrip("/").endswith("code") for link in links)
    assert any(link.endswith("picture.bin") and (front.parent / link).is_file() for link in links)


def test_each_link_that_leads_nowhere_stops_the_build(repository: Path, tmp_path: Path) -> None:
    nowhere = ["docs/none.md", "notebooks/README.md#lost", "#gone", "code/void.py"]
    links = "".join(f"[nowhere]({link})\n\n" for link in nowhere)
    (repository / "README.md").write_text(f"{_README}\n{links}")
    done = _build(repository, tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("WARNING") == len(nowhere), done.stderr
    for name in ("docs/none.md", "lost", "gone", "code/void.py"):
        assert name in done.stderr


def test_a_page_that_comes_later_is_in_the_contents(repository: Path, tmp_path: Path) -> None:
    assert _build(repository, tmp_path).returncode == 0
    (repository / "docs" / "later.md").write_text("# Later: much\n")
    done = _build(repository, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "docs/later.html" in _Page(tmp_path / "site" / "index.html").links

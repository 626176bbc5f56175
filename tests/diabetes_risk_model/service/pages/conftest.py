"""A headless Chromium that reaches the service and nothing else, and tells what a page tried."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, Route

from diabetes_risk_model.service.process import ServiceProcess
from tests.browser import find_chromium, launched

OURS = "diabetes_risk_model.service.main:app"
_REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => console.error("forbidden:", event.violatedDirective));
"""


BELOW = "/models/of-ours"
PROXY = "proxy.test"


@dataclass(frozen=True)
class ShownService:
    """A service as it is seen through a proxy."""

    url: str
    process: ServiceProcess


@dataclass
class Visit:
    """A page, and what it did.

    Attributes:
        page: in the browser.
        outside: addresses that are not the service's; none was reached.
        complaints: errors in the console, among them what the page's policy forbade, and errors of its scripts.
    """

    page: Page
    outside: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def assert_quiet(self) -> None:
        assert (self.outside, self.complaints) == ([], [])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Not for the whole session, because tests of other modules run event loops.
    program = find_chromium()
    if program is None:
        pytest.skip("there is no chromium on the PATH")
    with launched(program, f"--host-resolver-rules=MAP {PROXY} 127.0.0.1") as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """`visit(service, "/try", ...)` opens a page; options are those of a browser context."""
    contexts = []

    def open_page(service: ServiceProcess | ShownService, path: str, **options: Any) -> Visit:
        base = service.url
        context = browser.new_context(service_workers="block", **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        seen = Visit(context.new_page())

        def hold_back(route: Route) -> None:
            if route.request.url.startswith(base + "/"):
                route.continue_()
            else:
                route.abort()

        def watch(request: Request) -> None:
            if not request.url.startswith((base + "/", f"blob:{base}/", "data:")):
                seen.outside.append(request.url)

        context.route("**/*", hold_back)
        context.on("request", watch)
        seen.page.add_init_script(_REPORT_VIOLATIONS)
        seen.page.on(
            "console", lambda message: seen.complaints.append(message.text) if message.type == "error" else None
        )
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.goto(base + path)
        return seen

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def behind_proxy(bucket: Any, write_configuration: Any) -> Iterator[ShownService]:
    """A service that a proxy shows below a path, which it takes off, under a name that is no local one."""
    path = write_configuration(bucket.settings())
    with ServiceProcess(OURS, path, arguments=["--root-path", BELOW]) as service:
        upstream = service.url.removeprefix("http://")

        class Forwarding(BaseHTTPRequestHandler):
            def forward(self) -> None:
                below, _, rest = self.path.partition(BELOW)
                if below or not rest.startswith("/"):
                    self.send_error(404)
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                with closing(HTTPConnection(upstream, timeout=20)) as connection:
                    connection.request(self.command, rest, body, dict(self.headers))
                    answer = connection.getresponse()
                    content = answer.read()
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = forward  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Forwarding) as proxy:
            thread = threading.Thread(target=proxy.serve_forever, daemon=True)
            thread.start()
            yield ShownService(f"http://{PROXY}:{proxy.server_address[1]}{BELOW}", service)
            proxy.shutdown()
            thread.join()

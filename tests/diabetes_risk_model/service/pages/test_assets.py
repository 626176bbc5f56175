"""The files of the pages, as browsers and caches ask for them."""

import gzip
import json
import re
from contextlib import closing
from email.message import Message
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

SCRIPT = "/docs/swagger-ui-bundle.js"
NO_CACHE = "no-cache"


class Reply(NamedTuple):
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def get(service, path, method="GET", **headers):
    connection = HTTPConnection(service.url.removeprefix("http://"), timeout=20)
    with closing(connection):
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())


@pytest.mark.parametrize("page", ["/docs", "/redoc", "/try"])
def test_every_file_of_a_page_is_kept_for_ever_at_its_address(limited, page):
    document = get(limited, page)
    assert (document.status, document.headers["cache-control"]) == (200, "no-store")
    html = document.body.decode()
    addresses = set(re.findall(r'(?:src|href)="([^"]+\?v=[^"]+)"', html))
    assert len(addresses) >= 3
    assert set(re.findall(rf'"{page[1:]}/[^"]+"', html)) == {f'"{address}"' for address in addresses}
    for address in addresses:
        reply = get(limited, "/" + address)
        assert reply.status == 200
        assert "immutable" in reply.headers["cache-control"]
        assert reply.headers["x-content-type-options"] == "nosniff"


def test_an_address_of_another_version_is_not_kept(limited):
    for path in (SCRIPT, SCRIPT + "?v=0123456789abcdef"):
        reply = get(limited, path)
        assert (reply.status, reply.headers["cache-control"]) == (200, NO_CACHE)


def test_what_is_known_already_is_not_sent_again(limited):
    first = get(limited, SCRIPT)
    tag = first.headers["etag"]
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        reply = get(limited, SCRIPT, If_None_Match=known)
        assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", tag), known
    assert get(limited, SCRIPT, If_None_Match='"other"').status == 200


def test_a_head_is_told_of_and_gets_nothing(limited):
    for path in (SCRIPT, "/docs", "/try"):
        reply, whole = get(limited, path, "HEAD", Accept_Encoding="gzip"), get(limited, path, Accept_Encoding="gzip")
        assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", str(len(whole.body)))


@pytest.mark.parametrize("accepted", ["gzip", "br, GZIP;q=0.5", "gzip;q=1"])
def test_it_is_sent_compressed_to_who_takes_that(limited, accepted):
    plain = get(limited, SCRIPT)
    packed = get(limited, SCRIPT, Accept_Encoding=accepted)
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("accepted", ["identity", "gzip;q=0", "br, gzip; q=0.0", "notgzip", ""])
def test_it_is_sent_plain_to_who_does_not(limited, accepted):
    reply = get(limited, SCRIPT, Accept_Encoding=accepted)
    assert "content-encoding" not in reply.headers
    assert b"SwaggerUIBundle" in reply.body


@pytest.mark.parametrize(
    "name",
    [
        "nothing.js",
        "favicon.png",
        "oauth2-redirect",
        quote("../application.py", safe=""),
        "..%2f..%2fmain.py",
        "../main.py",
        "%2e%2e/main.py",
        "docs.css%00",
        "docs.css/",
    ],
)
def test_nothing_else_is_served(limited, name):
    for page in ("/docs", "/redoc", "/try"):
        reply = get(limited, f"{page}/{name}")
        assert (reply.status, reply.json["type"]) == (404, "NotFound")


def test_pages_are_not_in_the_contract(limited):
    paths = get(limited, "/openapi.json").json["paths"]
    assert [path for path in paths if path.startswith(("/docs", "/redoc", "/try"))] == []

"""The connections that every storage and the registry share: what they read of an answer."""

from collections.abc import Callable
from typing import Any

import pytest

from signed_parameters.storage.careful_pool import UnusableAnswer, careful_pool


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def test_xml_that_declares_something_is_unusable(serve: Callable[[bytes], Any]) -> None:
    url = serve(_answer(b'<!DOCTYPE e [<!ENTITY a "aaaa">]><Name>&a;</Name>')).url
    with pytest.raises(UnusableAnswer, match="no plain XML"):
        careful_pool(url).urlopen("GET", url)


def test_what_is_not_xml_may_hold_what_xml_must_not(serve: Callable[[bytes], Any]) -> None:
    body = b'{"description": "<!-- owner: team A -->"}'
    url = serve(_answer(body)).url
    assert careful_pool(url, xml=False).urlopen("GET", url).data == body


def test_an_answer_is_bounded_whatever_it_is(serve: Callable[[bytes], Any]) -> None:
    url = serve(_answer(bytes(9 << 20))).url
    with pytest.raises(UnusableAnswer, match="without end"):
        careful_pool(url, xml=False).urlopen("GET", url)

"""Files of the pages: read when they are first asked for, held compressed, and kept by browsers until they change."""

import gzip
import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from diabetes_risk_model.service.pages.headers import NO_SNIFFING

STATIC = Path(__file__).parent / "static"

_TYPES = {".css": "text/css", ".js": "text/javascript", ".png": "image/png", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"
_TAG_DIGITS = 16


class _Held(NamedTuple):
    tag: str
    packed: bytes


class Asset:
    """A file that a page needs."""

    def __init__(self, path: Path, change: Callable[[bytes], bytes] | None = None) -> None:
        """Describe it. Nothing is read yet.

        Args:
            path: of the file. Its suffix says what it is.
            change: gives what is served for what the file holds; None for the file as it is.
        """
        self._path = path
        self._change = change
        self._media_type = _TYPES[path.suffix]

    @property
    def tag(self) -> str:
        """Stands for what is in it: another content has another tag."""
        return self._held.tag

    @cached_property
    def _held(self) -> _Held:
        content = self._path.read_bytes()
        if self._change is not None:
            content = self._change(content)
        return _Held(hashlib.sha256(content).hexdigest()[:_TAG_DIGITS], gzip.compress(content, mtime=0))

    def answer(self, request: Request) -> Response:
        """Answer a GET or HEAD. Where the address has the tag as `v`, what is there never changes."""
        tag, content = self._held
        headers = {
            **NO_SNIFFING,
            "Cache-Control": _FOR_EVER if request.query_params.get("v") == tag else "no-cache",
            # Weak, because the same tag stands for the compressed form and for the plain one.
            "ETag": f'W/"{tag}"',
            "Vary": "Accept-Encoding",
        }
        if _knows(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        if _accepts_gzip(request.headers.get("accept-encoding", "")):
            headers["Content-Encoding"] = "gzip"
        else:
            content = gzip.decompress(content)
        return Response(content, headers=headers, media_type=self._media_type)


def _knows(header: str, tag: str) -> bool:
    known = {part.strip().removeprefix("W/") for part in header.split(",")}
    return "*" in known or f'"{tag}"' in known


def _accepts_gzip(header: str) -> bool:
    for part in header.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            quality = weight.strip().removeprefix("q=")
            return not quality or quality.strip("0.") != ""
    return False

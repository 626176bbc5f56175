"""The contract as pages, /docs and /redoc, with no internet: their scripts come out of the package fastapi-offline.

Of that package only the files are used, and its code is not imported.
"""

from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI

from diabetes_risk_model.service.pages.assets import STATIC, Asset
from diabetes_risk_model.service.pages.headers import page_headers
from diabetes_risk_model.service.pages.site import add_page

_PACKAGE = "fastapi_offline"
_SWAGGER = ("swagger-ui-bundle.js", "swagger-ui.css")
_REDOC = ("redoc.standalone.js",)

# Redoc shows its maker's logo from the internet, and leaves it out where it is no picture. Its styles get a nonce too
# late to be allowed.
_CHANGES = (
    (b"https://cdn.redoc.ly/redoc/logo-mini.svg", b"data:,"),
    (b".nc=void 0", b".nc=document.currentScript.nonce"),
)


def add_documentation(application: FastAPI) -> None:
    """Add the pages. Where the package is missing they say so, and the service answers all else."""
    folder = _folder()
    own = {name: Asset(STATIC / name) for name in ("docs.css", "docs.js", "redoc.js", "icon.svg")}
    if folder is None:
        for path in ("/docs", "/redoc"):
            add_page(application, path, own, _swagger_headers, document="missing.html", status=404)
        return
    swagger = {name: Asset(folder / name) for name in _SWAGGER}
    add_page(application, "/docs", {**swagger, **own}, _swagger_headers, title=application.title)
    redoc = {name: Asset(folder / name, _change_redoc) for name in _REDOC}
    add_page(application, "/redoc", {**redoc, **own}, _redoc_headers, title=application.title)


def _folder() -> Path | None:
    spec = find_spec(_PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        folder = Path(place) / "static"
        if all((folder / name).is_file() for name in (*_SWAGGER, *_REDOC)):
            return folder
    return None


def _change_redoc(script: bytes) -> bytes:
    for there, instead in _CHANGES:
        script = script.replace(there, instead)
    return script


def _swagger_headers(_: str) -> dict[str, str]:
    return page_headers("script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'")


def _redoc_headers(nonce: str) -> dict[str, str]:
    return page_headers(
        "script-src 'self'",
        f"style-src 'self' 'nonce-{nonce}'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "worker-src blob:",  # its search
    )

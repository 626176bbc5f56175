"""A page and its assets, as paths of an application. Addresses in a page are relative to it, whatever a proxy adds."""

import secrets
from collections.abc import Callable, Mapping
from html import escape

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from diabetes_risk_model.service.pages.assets import STATIC, Asset

_METHODS = ["GET", "HEAD"]
_NONCE_BYTES = 16


def add_page(
    application: FastAPI,
    path: str,
    assets: Mapping[str, Asset],
    headers: Callable[[str], Mapping[str, str]],
    *,
    document: str | None = None,
    status: int = 200,
    **values: str,
) -> None:
    """Add a page.

    Args:
        application: gets the paths.
        path: of the page, as "/try". Its assets are below.
        assets: name -> file. The HTML names them as "try/try.js"; that becomes an address that is good for ever.
        headers: of the page, for a nonce that is used once, and stands in the HTML for {nonce}.
        document: name of its HTML in `static`; None for the page's own name.
        status: of the answer.
        values: text for each {name} in the HTML.
    """
    name = path.removeprefix("/")
    template = STATIC / (document or f"{name}.html")

    # No coroutines: reading and compressing the assets, once, may take a thread but not the event loop.
    def get_page() -> Response:
        nonce = secrets.token_urlsafe(_NONCE_BYTES)
        html = template.read_text(encoding="utf-8")
        for field, value in {**values, "page": name, "nonce": nonce}.items():
            html = html.replace(f"{{{field}}}", escape(value))
        for asset_name, asset in assets.items():
            address = f'"{name}/{asset_name}'
            if f'{address}"' in html:
                html = html.replace(f'{address}"', f'{address}?v={asset.tag}"')
        return HTMLResponse(html, status, headers={**headers(nonce), "Cache-Control": "no-store"})

    def get_asset(request: Request, asset_name: str) -> Response:
        asset = assets.get(asset_name)
        if asset is None:
            raise HTTPException(404)
        return asset.answer(request)

    application.add_api_route(path, get_page, methods=_METHODS, include_in_schema=False)
    application.add_api_route(f"{path}/{{asset_name}}", get_asset, methods=_METHODS, include_in_schema=False)

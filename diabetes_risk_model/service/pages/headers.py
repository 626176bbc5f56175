"""Headers that keep a page from doing anything but what it is for."""

_DIRECTIVES = ("default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'")

NO_SNIFFING = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}


def page_headers(*allowed: str) -> dict[str, str]:
    """Return the headers of a page.

    Args:
        allowed: directives of its Content-Security-Policy, as "img-src data:". All else is forbidden.
    """
    return {
        "Content-Security-Policy": "; ".join((*_DIRECTIVES, *allowed)),
        "Referrer-Policy": "no-referrer",
        **NO_SNIFFING,
    }

"""The form that asks for a token, as the password flow of OAuth 2.0 has it (RFC 6749, 4.3)."""

from typing import NamedTuple
from urllib.parse import parse_qsl

from pydantic import Field
from rest_model_service.schemas import Error

from diabetes_risk_model.service.answers import Answer, RequestRefused

MEDIA_TYPE = "application/x-www-form-urlencoded"
MAXIMUM_BYTES = 4_096
_MOST_FIELDS = 20

SCHEMA = {
    "type": "object",
    "required": ["grant_type", "username", "password"],
    "properties": {
        "grant_type": {"type": "string", "const": "password"},
        "username": {"type": "string"},
        "password": {"type": "string", "format": "password"},
    },
}


class TokenError(Error):  # type: ignore[misc]
    """Error details, and what OAuth clients look for beside them."""

    error: str = Field(description="The code of RFC 6749, section 5.2.")
    error_description: str = Field(description="The same as the message.")


class TokenRefused(RequestRefused):
    """No token is given, for a reason that OAuth has a code for.

    Args:
        code: of RFC 6749, section 5.2.
        message: for people, a sentence in ASCII without quotation marks, as the RFC wants it.
    """

    def __init__(self, code: str, message: str) -> None:
        kind = code.title().replace("_", "")
        super().__init__(400, kind, message)
        content = TokenError(type=kind, messages=[message], error=code, error_description=message)
        self.answer = Answer(400, content.model_dump_json().encode())


class Login(NamedTuple):
    """A name and a password that somebody gave."""

    name: str
    password: str


def read_form(body: bytes) -> Login:
    """Read the form. Fields that the password flow does not have are passed over, as RFC 6749 demands.

    Raises:
        TokenRefused: it is no form, a field is missing or there twice, or it asks for another flow.
    """
    try:
        # Without strict parsing, what is no form at all would be a form without fields.
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:  # among them what is not UTF-8
        raise TokenRefused("invalid_request", f"The body must be a form, {MEDIA_TYPE}.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise TokenRefused("invalid_request", "A field of the form is there twice.")
    if "grant_type" not in fields:
        raise TokenRefused("invalid_request", "The field grant_type is missing.")
    if fields["grant_type"] != "password":
        raise TokenRefused("unsupported_grant_type", "The field grant_type must be password.")
    for name in ("username", "password"):
        if not fields.get(name):
            raise TokenRefused("invalid_request", f"The field {name} is missing.")
    return Login(fields["username"], fields["password"])

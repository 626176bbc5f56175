"""Decides on a request by its Authorization header, before anything else of it is looked at."""

import time
from collections.abc import Iterable

from diabetes_risk_model.service.answers import CLOSE, RequestRefused
from diabetes_risk_model.service.authentication.tokens import MAXIMUM_BYTES, BadToken, Tokens
from diabetes_risk_model.service.authentication.users import Users
from diabetes_risk_model.service.authentication.watching import NoUsers, WatchedUsers

_HEADER = b"authorization"
_SCHEME = b"bearer"
_MOST_VERIFIED = 4_096
_RETRY_SECONDS = 10


class Guard:
    """Lets requests through that have a token that counts.

    Verified tokens are remembered until they end or the users change, because a client sends the same one many times.
    """

    def __init__(self, tokens: Tokens, users: WatchedUsers, realm: str) -> None:
        """Describe it.

        Args:
            tokens: verify.
            users: those whose tokens count.
            realm: what clients are told that the token is for.
        """
        self._tokens = tokens
        self._users = users
        self._challenge = f'Bearer realm="{realm}"'.encode()
        self._verified: dict[bytes, float] = {}
        self._verified_for: Users | None = None

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Return if the request may go on.

        Raises:
            RequestRefused: 401: it has no token that counts. 503: who counts is not known.
        """
        given = [value for name, value in headers if name == _HEADER]
        users = self._current_users()
        if users is not self._verified_for:
            self._verified.clear()
            self._verified_for = users
        if len(given) == 1 and self._verified.get(given[0], 0.0) > time.time():
            return
        self._verify(given, users)

    def _verify(self, given: list[bytes], users: Users) -> None:
        if not given:
            raise self._refused("Unauthorized", "A token is needed. POST /api/token gives one for a name and password.")
        if len(given) > 1:
            raise self._refused("InvalidToken", "There is more than one header Authorization.", error=b"invalid_token")
        scheme, _, token = given[0].partition(b" ")
        if scheme.lower() != _SCHEME:
            raise self._refused("Unauthorized", "The header Authorization must be 'Bearer', a blank, and a token.")
        try:
            claims = self._tokens.verify(token)
        except BadToken:
            raise self._invalid() from None
        if users.credential(claims.user) != claims.credential:
            raise self._invalid()
        self._remember(given[0], claims.expires)

    def _remember(self, header: bytes, expires: float) -> None:
        if len(self._verified) >= _MOST_VERIFIED:
            del self._verified[next(iter(self._verified))]
        if len(header) <= MAXIMUM_BYTES:
            self._verified[header] = expires

    def _current_users(self) -> Users:
        try:
            return self._users.current()
        except NoUsers:
            raise users_unknown() from None

    def _invalid(self) -> RequestRefused:
        text = "The token does not count: it is damaged, has ended, or is not for this service. Ask for a new one."
        return self._refused("InvalidToken", text, error=b"invalid_token")

    def _refused(self, kind: str, message: str, *, error: bytes = b"") -> RequestRefused:
        challenge = self._challenge + (b', error="%s"' % error if error else b"")
        return RequestRefused(401, kind, message, headers=(*CLOSE, (b"www-authenticate", challenge)))


def users_unknown() -> RequestRefused:
    """Return the refusal for as long as the users file is not usable."""
    return RequestRefused(
        503,
        "UsersUnknown",
        "The service cannot read who its users are. Its log says why.",
        headers=(*CLOSE, (b"retry-after", b"%d" % _RETRY_SECONDS)),
    )

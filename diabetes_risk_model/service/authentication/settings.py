"""The key `authentication` of the service's configuration file. It holds references to secrets, and no secrets."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_PLAIN = r"^[A-Za-z0-9._:/@-]+$"
_REFERENCE = r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$"
_LONGEST_TOKEN_SECONDS = 86_400

PlainText = Annotated[str, Field(pattern=_PLAIN, max_length=200)]
Reference = Annotated[str, Field(pattern=_REFERENCE, max_length=200)]
Count = Annotated[int, Field(ge=1, le=1_000)]
Seconds = Annotated[float, Field(gt=0, le=3_600, allow_inf_nan=False)]


class GuessingLimits(BaseModel):
    """How many passwords may be tried: some at once, and one more every so many seconds.

    Attributes:
        user_attempts: for one user, at once.
        user_seconds: until there is one more.
        address_attempts: from one address, for whichever users, at once.
        address_seconds: until there is one more.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    user_attempts: Count = 10
    user_seconds: Seconds = 30.0
    address_attempts: Count = 30
    address_seconds: Seconds = 5.0


class AuthenticationSettings(BaseModel):
    """Who may predict.

    Attributes:
        users_file: path of the users file; a relative one starts from the working folder.
        signing_secrets: environment variables, as `${NAME}`. The first secret signs tokens, and all of them verify.
        token_seconds: how long a token counts.
        issuer: who issues tokens, as they say.
        audience: whom tokens are for, as they say; also the realm that clients are told.
        hashes_at_once: so many passwords are checked at a time. Each takes 64 MiB while it is checked.
        guessing: how many passwords may be tried.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    users_file: str = Field(min_length=1)
    signing_secrets: tuple[Reference, ...] = Field(min_length=1, max_length=16)
    token_seconds: int = Field(default=720, ge=1, le=_LONGEST_TOKEN_SECONDS)
    issuer: PlainText = "diabetes-risk-model-service"
    audience: PlainText = "diabetes-risk-model"
    hashes_at_once: int = Field(default=1, ge=1, le=16)
    guessing: GuessingLimits = GuessingLimits()


def _refuse_nothing(value: object) -> object:
    # A key whose lines are lost, or comments, would leave the service open without a word.
    if value is None:
        raise ValueError("expected users_file and signing_secrets; without authentication leave the key away")
    return value


WantedAuthentication = Annotated[AuthenticationSettings | None, BeforeValidator(_refuse_nothing)]

"""Users with passwords, signing secrets, and an application that wants tokens, asked without a server between."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import yaml

from diabetes_risk_model.service.application import Application, build_application
from diabetes_risk_model.service.authentication.passwords import hash_password
from diabetes_risk_model.service.authentication.users import change_users

PREDICTION = "/api/models/diabetes_risk_model/prediction"


@dataclass
class Clock:
    """A clock that goes when it is told to."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Account:
    """A user, and the password that was made up for this run."""

    name: str
    password: str
    encoded: str


@dataclass(frozen=True)
class Site:
    """A configuration file with authentication, its users file, and its signing secrets."""

    configuration: Path
    users_file: Path
    ana: Account
    environment: dict[str, str] = field(default_factory=dict)

    def application(self) -> Application:
        return build_application(self.configuration)

    def change(self, **changes: object) -> None:
        """Change the key `authentication` of the configuration file."""
        document = yaml.safe_load(self.configuration.read_text())
        document["authentication"].update(changes)
        self.configuration.write_text(yaml.safe_dump(document))


class Asking:
    """A client of an application."""

    def __init__(self, application: Any, root_path: str = "") -> None:
        self._application = application
        self._root_path = root_path

    async def _ask(self, method: str, path: str, address: str, options: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self._application, root_path=self._root_path, client=(address, 5_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, **options)

    def __call__(self, method: str, path: str, *, address: str = "192.0.2.1", **options: Any) -> httpx.Response:
        return asyncio.run(self._ask(method, path, address, options))

    def login(self, name: str, password: str, *, address: str = "192.0.2.1", **fields: str) -> httpx.Response:
        form = {"grant_type": "password", "username": name, "password": password, **fields}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self("POST", "/api/token", address=address, content=urlencode(form), headers=headers)

    def token(self, account: Account) -> str:
        answer = self.login(account.name, account.password)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def predict(self, *authorization: str) -> httpx.Response:
        """Ask for a prediction. A model that is not loaded answers 503 to who is let in."""
        return self("POST", PREDICTION, headers=[("Authorization", value) for value in authorization], json={})


@pytest.fixture(scope="session")
def ana() -> Account:
    password = secrets.token_urlsafe(12)
    return Account("ana", password, hash_password(password))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site(tmp_path: Path, ana: Account, monkeypatch: pytest.MonkeyPatch) -> Site:
    users_file = tmp_path / "users.json"
    change_users(users_file, lambda hashes: hashes.update({ana.name: ana.encoded}))
    environment = {name: secrets.token_urlsafe(32) for name in ("NEW_SECRET", "OLD_SECRET")}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    model = {
        "class_path": "diabetes_risk_model.prediction.model.DiabetesRiskModel",
        "create_endpoint": True,
        "configuration": {"model_files_bucket": f"file://{tmp_path}"},
    }
    authentication = {"users_file": str(users_file), "signing_secrets": ["${NEW_SECRET}", "${OLD_SECRET}"]}
    configuration = tmp_path / "rest_config.yaml"
    configuration.write_text(yaml.safe_dump({"models": [model], "authentication": authentication}))
    return Site(configuration, users_file, ana, environment)


@pytest.fixture
def ask(site: Site) -> Asking:
    return Asking(site.application())


@pytest.fixture
def asking() -> Callable[..., Asking]:
    """`asking(application, root_path)` is a client of another application, or of one behind a proxy."""
    return Asking


@pytest.fixture
def set_users() -> Callable[..., None]:
    """`set_users(path, ana=encoded)` writes these users, and no others."""

    def write(path: Path, **encoded: str) -> None:
        def change(hashes: dict[str, str]) -> None:
            hashes.clear()
            hashes.update(encoded)

        change_users(path, change)

    return write

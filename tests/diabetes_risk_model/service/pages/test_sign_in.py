"""Where predictions need a token, a person signs in: on /try, and on the documentation."""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page, expect

from diabetes_risk_model.service.authentication.passwords import hash_password
from diabetes_risk_model.service.authentication.users import change_users
from diabetes_risk_model.service.process import ServiceProcess

OURS = "diabetes_risk_model.service.main:app"
NAME = "ana"


@dataclass(frozen=True)
class Guarded:
    """A service that answers those who have the password."""

    process: ServiceProcess
    password: str

    @property
    def url(self) -> str:
        return self.process.url


@pytest.fixture
def guarded(bucket: Any, write_configuration: Callable[..., Path], tmp_path: Path) -> Iterator[Guarded]:
    password = secrets.token_urlsafe(12)
    users = tmp_path / "users.json"
    change_users(users, lambda hashes: hashes.update({NAME: hash_password(password)}))
    path = write_configuration(bucket.settings())
    document = yaml.safe_load(path.read_text())
    limits = {"user_attempts": 2, "address_attempts": 2}
    document["authentication"] = {"users_file": str(users), "signing_secrets": ["${A_SECRET}"], "guessing": limits}
    path.write_text(yaml.safe_dump(document))
    with ServiceProcess(OURS, path, {"A_SECRET": secrets.token_urlsafe(32)}) as process:
        yield Guarded(process, password)


def sign_in(page: Page, password: str) -> None:
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_a_person_signs_in_and_is_answered(visit: Any, guarded: Guarded) -> None:
    seen = visit(guarded, "/try")
    page = seen.page
    page.get_by_role("button", name="Estimate the risk").click()
    expect(page.get_by_role("heading", name="Please sign in")).to_be_visible()
    expect(page.get_by_label("Name")).to_be_focused()
    sign_in(page, "a wrong guess")
    expect(page.locator("#sign-in-error")).to_have_text("The name or the password is wrong.")
    expect(page.get_by_label("Password")).to_be_focused()
    sign_in(page, guarded.password)
    expect(page.locator("#result")).to_have_attribute("data-state", "answer")
    expect(page.get_by_role("heading", name="Please sign in")).to_be_hidden()
    page.get_by_label("Age", exact=True).select_option("FROM_80")
    expect(page.locator("#imputed li")).to_have_count(3)
    assert seen.outside == []


def test_neither_password_nor_token_outlives_the_page(visit: Any, guarded: Guarded) -> None:
    page = visit(guarded, "/try").page
    tokens = []
    page.on("response", lambda answer: tokens.append(answer) if answer.url.endswith("/api/token") else None)
    page.get_by_role("button", name="Estimate the risk").click()
    sign_in(page, guarded.password)
    expect(page.locator("#result")).to_have_attribute("data-state", "answer")
    token = tokens[0].json()["access_token"]
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    values = page.locator("input").evaluate_all("all => all.map((one) => one.value)")
    for secret in (token, guarded.password):
        assert secret not in kept + json.dumps(values) + page.content()
    page.reload()
    page.get_by_role("button", name="Estimate the risk").click()
    expect(page.get_by_role("heading", name="Please sign in")).to_be_visible()


def test_who_guesses_is_told_when_to_try_again(visit: Any, guarded: Guarded) -> None:
    page = visit(guarded, "/try").page
    page.get_by_role("button", name="Estimate the risk").click()
    for _ in range(2):
        with page.expect_response("**/api/token"):
            sign_in(page, "a wrong guess")
        expect(page.locator("#sign-in-error")).to_have_text("The name or the password is wrong.")
    sign_in(page, "a wrong guess")
    expect(page.locator("#sign-in-error")).to_contain_text("Too many attempts. Try again in ")


def test_the_documentations_authorize_button_works(visit: Any, guarded: Guarded) -> None:
    seen = visit(guarded, "/docs")
    page = seen.page
    page.get_by_role("button", name="Authorize").click()
    page.locator("#oauth_username").fill(NAME)
    page.locator("#oauth_password").fill(guarded.password)
    page.locator(".auth-btn-wrapper").get_by_role("button", name="Apply given OAuth2 credentials").click()
    expect(page.locator(".auth-container").get_by_text("Authorized", exact=True)).to_be_visible()
    page.locator(".btn-done").click()
    operation = page.locator(".opblock", has=page.locator("[data-path='/api/models/diabetes_risk_model/prediction']"))
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response .microlight").first).to_contain_text("probability")
    seen.assert_quiet()

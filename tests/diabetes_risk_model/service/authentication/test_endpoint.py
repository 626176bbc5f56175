"""POST /api/token, and guessing at it."""

import json
import logging
import threading
import time
from urllib.parse import urlencode

import pytest

from diabetes_risk_model.service.authentication.passwords import Busy, PasswordChecker

FORM = "application/x-www-form-urlencoded"
WRONG = "not the password"


def post(ask, body, content_type=FORM, **options):
    content = body if isinstance(body, bytes) else urlencode(body).encode()
    return ask("POST", "/api/token", content=content, headers={"Content-Type": content_type}, **options)


def assert_error(answer, status, kind, error=None):
    assert (answer.status_code, answer.json()["type"]) == (status, kind), answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["messages"]
    assert answer.json().get("error") == error
    if error is not None:
        assert answer.json()["error_description"] == answer.json()["messages"][0]


def test_a_token_for_the_right_password(ask, ana):
    answer = ask.login(ana.name, ana.password)
    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token", "token_type", "expires_in"}
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("bearer", 720)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    assert answer.headers["content-type"] == "application/json"


def test_fields_that_oauth_clients_add_are_passed_over(ask, ana):
    assert ask.login(ana.name, ana.password, scope="", client_id="x", client_secret="y", more="z").status_code == 200


def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(ask, ana):
    wrong, unknown = ask.login(ana.name, WRONG), ask.login("nobody", WRONG)
    assert_error(wrong, 400, "InvalidGrant", "invalid_grant")
    assert (wrong.status_code, wrong.content) == (unknown.status_code, unknown.content)
    headers = [{k: v for k, v in answer.headers.items() if k != "x-request-id"} for answer in (wrong, unknown)]
    assert headers[0] == headers[1]


@pytest.mark.parametrize("name", ["nobody", "a name\nof no user", "x" * 500])
def test_an_unknown_user_costs_a_hash_too(ask, name, monkeypatch):
    checked = []
    real = PasswordChecker.check

    async def check(self, encoded, password):
        checked.append(encoded)
        return await real(self, encoded, password)

    monkeypatch.setattr(PasswordChecker, "check", check)
    assert_error(ask.login(name, WRONG), 400, "InvalidGrant", "invalid_grant")
    assert checked == [None]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "invalid_request"),
        (b"{}", "invalid_request"),
        (b"&", "invalid_request"),
        (b"grant_type", "invalid_request"),
        (b"\xff=\xff", "invalid_request"),
        (b"grant_type=password&username=%ff&password=x", "invalid_request"),
        (b"username=ana&password=x", "invalid_request"),
        (b"grant_type=password&username=ana", "invalid_request"),
        (b"grant_type=password&password=x", "invalid_request"),
        (b"grant_type=password&username=&password=x", "invalid_request"),
        (b"grant_type=password&username=ana&password=", "invalid_request"),
        (b"grant_type=password&username=ana&username=ben&password=x", "invalid_request"),
        (b"grant_type=password&username=ana&password=x&scope=a&scope=b", "invalid_request"),
        (b"&".join(b"f%d=1" % number for number in range(30)), "invalid_request"),
        (b"grant_type=refresh_token&refresh_token=x", "unsupported_grant_type"),
        (b"grant_type=Password&username=ana&password=x", "unsupported_grant_type"),
    ],
)
def test_a_form_that_does_not_fit(ask, body, error):
    assert_error(post(ask, body), 400, error.title().replace("_", ""), error)


def test_strange_passwords_are_wrong_passwords(ask, ana):
    for password in ("\0", "\ud7ff" * 300, " " + ana.password, "%", "a" * 3_000):
        assert_error(ask.login(ana.name, password), 400, "InvalidGrant", "invalid_grant")


def test_another_media_type(ask):
    assert_error(post(ask, b"{}", "application/json"), 415, "UnsupportedMediaType")
    assert_error(post(ask, b"", ""), 415, "UnsupportedMediaType")
    assert_error(post(ask, b"grant_type=password", f"{FORM}; charset=utf-16"), 415, "UnsupportedMediaType")


def test_a_large_form(ask):
    assert_error(post(ask, b"password=" + b"x" * 5_000), 413, "TooLarge")


def test_only_post(ask):
    assert ask("GET", "/api/token?grant_type=password&username=ana&password=x").status_code == 405


def test_guessing_a_user_is_slowed_from_wherever(site, asking):
    site.change(guessing={"user_attempts": 3, "user_seconds": 3_600})
    ask = asking(site.application())
    answers = [ask.login("ana", WRONG, address=f"192.0.2.{number}") for number in range(6)]
    assert [answer.status_code for answer in answers] == [400, 400, 400, 429, 429, 429]
    assert_error(answers[-1], 429, "TooManyAttempts")
    assert 3_000 < int(answers[-1].headers["retry-after"]) <= 3_600
    assert_error(ask.login("ana", site.ana.password), 429, "TooManyAttempts")


def test_the_wait_ends(site, asking):
    site.change(guessing={"user_attempts": 1, "user_seconds": 0.5})
    ask = asking(site.application())
    ask.login("ana", WRONG)
    deadline = time.monotonic() + 30
    while (answer := ask.login("ana", site.ana.password)).status_code == 429 and time.monotonic() < deadline:
        time.sleep(int(answer.headers["retry-after"]))
    assert answer.status_code == 200


def test_guessing_from_an_address_is_slowed_for_whomever(site, asking):
    site.change(guessing={"address_attempts": 3, "address_seconds": 60})
    ask = asking(site.application())
    assert [ask.login(f"user{number}", WRONG).status_code for number in range(5)] == [400, 400, 400, 429, 429]
    assert [ask.login(f"not a name {number}", WRONG).status_code for number in range(2)] == [429, 429]
    assert ask.login("ana", site.ana.password, address="198.51.100.1").status_code == 200


def test_an_address_of_ipv6_is_its_network(site, asking):
    site.change(guessing={"address_attempts": 3, "address_seconds": 60})
    ask = asking(site.application())
    answers = [ask.login(f"user{number}", WRONG, address=f"2001:db8::{number}") for number in range(5)]
    assert [answer.status_code for answer in answers] == [400, 400, 400, 429, 429]


def test_strangers_do_not_keep_a_user_out(site, asking):
    site.change(guessing={"user_attempts": 2, "user_seconds": 600})
    ask = asking(site.application())
    assert ask.login("ana", site.ana.password).status_code == 200
    strangers = [ask.login("ana", WRONG, address=f"198.51.100.{number}").status_code for number in range(4)]
    assert strangers == [400, 400, 429, 429]
    assert ask.login("ana", site.ana.password).status_code == 200


def test_too_many_at_once(ask, ana, monkeypatch):
    async def check(*_):
        raise Busy

    monkeypatch.setattr(PasswordChecker, "check", check)
    for _ in range(40):  # that it was not checked is not held against the user
        answer = ask.login(ana.name, ana.password)
        assert_error(answer, 503, "Busy")
        assert answer.headers["retry-after"] == "1"


def test_the_log_says_who_and_never_a_password_or_a_token(ask, ana, caplog):
    caplog.set_level(logging.DEBUG)
    token = ask.token(ana)
    ask.login(ana.name, WRONG)
    ask.login("My Passw0rd, typed for a name", WRONG)
    ask.login("typed-for-a-name", WRONG)
    ask.predict(f"Bearer {token}x")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("diabetes_risk_model")]
    assert "A token for the user ana, from 192.0.2.1." in lines
    assert "No token for the user ana, from 192.0.2.1." in lines
    assert lines.count("No token for a name that no user has, from 192.0.2.1.") == 2
    said = json.dumps([str(vars(record)) for record in caplog.records])
    for secret in (ana.password, ana.encoded, token, token.rpartition(".")[2], WRONG, "Passw0rd", "typed-for"):
        assert secret not in said
    assert "A token for" in said


def test_a_failure_of_the_service_is_an_error_without_details(ask, ana, monkeypatch, caplog):
    async def check(*_):
        raise RuntimeError(ana.password)

    monkeypatch.setattr(PasswordChecker, "check", check)
    answer = ask.login(ana.name, ana.password)
    assert_error(answer, 500, "ServiceError")
    assert ana.password not in answer.text + caplog.text


def test_hashes_are_made_in_threads_of_their_own(ask, ana, monkeypatch):
    from diabetes_risk_model.service.authentication import passwords

    names = []
    real = passwords.verify_password

    def verify(encoded, password):
        names.append(threading.current_thread().name)
        return real(encoded, password)

    monkeypatch.setattr(passwords, "verify_password", verify)
    ask.token(ana)
    assert names
    assert all(name.startswith("passwords") for name in names)

"""Every kind of token that must not count, at the real application: each gets 401 with its header, and an `Error`."""

import base64
import json
import time

import jwt
import pytest
import yaml

from diabetes_risk_model.service.authentication.tokens import CREDENTIAL, key_id_of
from diabetes_risk_model.service.authentication.users import read_users
from diabetes_risk_model.service.authentication.watching import LOOK_SECONDS

ANOTHER = "a-secret-of-somebody-else-which-is-long-enough"
REALM = 'Bearer realm="diabetes-risk-model"'
PREDICTION = "/api/models/diabetes_risk_model/prediction"
INVALID = f'{REALM}, error="invalid_token"'


@pytest.fixture
def claims(site):
    return {
        "iss": "diabetes-risk-model-service",
        "aud": "diabetes-risk-model",
        "sub": "ana",
        "iat": int(time.time()),
        "exp": int(time.time()) + 600,
        CREDENTIAL: read_users(site.users_file).credential("ana"),
    }


@pytest.fixture
def make(site):
    """`make(claims)` signs a token as the service would; what it gets besides changes that."""

    def sign(claims, secret=None, algorithm="HS256", **header):
        secret = secret or site.environment["NEW_SECRET"]
        own = site.environment["NEW_SECRET"]
        payload = json.dumps(claims).encode()  # the library checks what it makes; an attacker does not
        return jwt.PyJWS().encode(payload, secret, algorithm, headers={"kid": key_id_of(own.encode()), **header})

    return sign


def assert_refused(answer, challenge=INVALID):
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"] == challenge
    assert set(answer.json()) == {"type", "messages"}
    assert answer.json()["messages"]


def is_let_in(answer):
    return answer.status_code == 503 and answer.json()["type"] == "NotReady"


def test_a_token_of_the_service_is_let_in(ask, ana):
    token = ask.token(ana)
    assert is_let_in(ask.predict(f"Bearer {token}"))
    assert is_let_in(ask.predict(f"bearer {token}"))


def test_a_token_made_as_the_service_makes_them_is_let_in(ask, make, claims):
    assert is_let_in(ask.predict(f"Bearer {make(claims)}"))


def test_no_token(ask):
    assert_refused(ask.predict(), REALM)
    assert_refused(ask.predict("Basic YW5hOnB3"), REALM)
    assert_refused(ask.predict(""), REALM)


@pytest.mark.parametrize(
    "given",
    [
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer ..",
        "Bearer \u00e9",
        "Bearer " + "a" * 60_000,
        "Bearer " + base64.urlsafe_b64encode(b"[" * 150).decode() + ".e30.e30",
        "Bearer " + base64.urlsafe_b64encode(b"[" * 1_400).decode() + ".e30.e30",
        "Bearer " + base64.urlsafe_b64encode(b"[" * 20_000).decode() + ".e30.e30",
        "Bearer " + base64.urlsafe_b64encode(b"\xff\xfe").decode() + ".e30.e30",
        "Bearer " + base64.urlsafe_b64encode(b'{"kid": {}}').decode() + ".e30.e30",
    ],
)
def test_what_is_no_token(ask, given):
    assert_refused(ask.predict(given.encode("latin-1")))


def test_none_as_algorithm(ask, make, claims):
    for algorithm in ("none", "None", "nOnE"):
        header = {"alg": algorithm, "kid": jwt.get_unverified_header(make(claims))["kid"], "typ": "JWT"}
        parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
        assert_refused(ask.predict(f"Bearer {'.'.join(parts)}."))
        assert_refused(ask.predict(f"Bearer {'.'.join(parts)}.{make(claims).rpartition('.')[2]}"))


def test_another_algorithm_with_the_right_secret(ask, make, claims, site):
    secret = site.environment["NEW_SECRET"] * 2
    for algorithm in ("HS384", "HS512"):
        assert_refused(ask.predict(f"Bearer {make(claims, secret, algorithm)}"))


def test_another_secret(ask, make, claims):
    assert_refused(ask.predict(f"Bearer {make(claims, ANOTHER)}"))
    assert_refused(ask.predict(f"Bearer {make(claims, ANOTHER, kid=key_id_of(ANOTHER.encode()))}"))


@pytest.mark.parametrize("kid", ["", "../secret", "0" * 16])
def test_another_key_id(ask, make, claims, kid):
    assert_refused(ask.predict(f"Bearer {make(claims, kid=kid)}"))


def test_no_key_id(ask, claims, site):
    assert_refused(ask.predict(f"Bearer {jwt.encode(claims, site.environment['NEW_SECRET'], 'HS256')}"))


@pytest.mark.parametrize(
    "header",
    [{"crit": ["exp"]}, {"jku": "https://example.org/keys"}, {"jwk": {"kty": "oct", "k": "AAAA"}}, {"typ": "x"}],
)
def test_a_header_that_says_more(ask, make, claims, header):
    assert_refused(ask.predict(f"Bearer {make(claims, **header)}"))


def test_a_changed_token(ask, make, claims):
    header, body, signature = make(claims).split(".")
    other = base64.urlsafe_b64encode(json.dumps({**claims, "sub": "eve"}).encode()).rstrip(b"=").decode()
    assert_refused(ask.predict(f"Bearer {header}.{other}.{signature}"))
    assert_refused(ask.predict(f"Bearer {header}.{body}."))
    assert_refused(ask.predict(f"Bearer {header}.{body}.{signature[:-4]}"))
    assert_refused(ask.predict(f"Bearer {header}.{body}.{signature}.{signature}"))


@pytest.mark.parametrize(
    "change",
    [
        {"exp": ...},
        {"exp": None},
        {"exp": 0},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": []},
        {"nbf": 4_000_000_000},
        {"nbf": "later"},
        {"aud": ...},
        {"aud": "another-service"},
        {"aud": ["diabetes-risk-model", "another-service"]},
        {"aud": {"diabetes-risk-model": 1}},
        {"iss": ...},
        {"iss": "somebody"},
        {"iss": ["diabetes-risk-model-service"]},
        {"sub": ...},
        {"sub": "eve"},
        {"sub": ""},
        {"sub": 7},
        {"sub": ["ana"]},
        {"sub": {"ana": 1}},
        {CREDENTIAL: ...},
        {CREDENTIAL: ""},
        {CREDENTIAL: 7},
        {CREDENTIAL: "0" * 32},
        {"more": "x" * 2_048},
    ],
    ids=str,
)
def test_claims_that_do_not_count(ask, make, claims, change):
    changed = {name: value for name, value in {**claims, **change}.items() if value is not ...}
    assert_refused(ask.predict(f"Bearer {make(changed)}"))


def test_a_token_ends(site, asking):
    site.change(token_seconds=1)
    ask = asking(site.application())
    token = ask.token(site.ana)
    assert is_let_in(ask.predict(f"Bearer {token}"))  # and is remembered now
    time.sleep(1.1)
    assert_refused(ask.predict(f"Bearer {token}"))


def test_two_tokens(ask, ana):
    token = ask.token(ana)
    assert is_let_in(ask.predict(f"Bearer {token}"))  # and is remembered now
    assert_refused(ask.predict(f"Bearer {token}", "Bearer x"))
    assert_refused(ask.predict("Bearer x", f"Bearer {token}"))


def test_a_token_elsewhere_than_in_the_header(ask, ana):
    token = ask.token(ana)
    path = f"{PREDICTION}?access_token={token}"
    assert_refused(ask("POST", path, json={}, headers={"Cookie": f"access_token={token}"}), REALM)


def test_a_removed_user_and_one_who_came_back(ask, ana, site, set_users):
    token = ask.token(ana)
    assert is_let_in(ask.predict(f"Bearer {token}"))  # and is remembered now
    set_users(site.users_file)
    time.sleep(LOOK_SECONDS)
    assert_refused(ask.predict(f"Bearer {token}"))
    set_users(site.users_file, ana=ana.encoded.replace(ana.encoded[-5:], "AAAAA"))
    time.sleep(LOOK_SECONDS)
    assert_refused(ask.predict(f"Bearer {token}"))


def test_a_users_file_that_is_lost_lets_nobody_in_until_it_is_back(ask, ana, site, set_users):
    token = ask.token(ana)
    site.users_file.rename(site.users_file.with_suffix(".away"))
    time.sleep(LOOK_SECONDS)
    for answer in (ask.predict(f"Bearer {token}"), ask.login(ana.name, ana.password)):
        assert (answer.status_code, answer.json()["type"]) == (503, "UsersUnknown")
        assert int(answer.headers["retry-after"]) > 0
        assert str(site.users_file) not in answer.text
    set_users(site.users_file, ana=ana.encoded)
    time.sleep(LOOK_SECONDS)
    assert is_let_in(ask.predict(f"Bearer {token}"))


def test_secrets_can_be_rotated(site, asking):
    site.change(signing_secrets=["${OLD_SECRET}"])
    before = asking(site.application())
    old = before.token(site.ana)
    site.change(signing_secrets=["${NEW_SECRET}", "${OLD_SECRET}"])
    between = asking(site.application())
    new = between.token(site.ana)
    assert is_let_in(between.predict(f"Bearer {old}"))
    assert is_let_in(between.predict(f"Bearer {new}"))
    assert_refused(before.predict(f"Bearer {new}"))
    site.change(signing_secrets=["${NEW_SECRET}"])
    after = asking(site.application())
    assert_refused(after.predict(f"Bearer {old}"))
    assert is_let_in(after.predict(f"Bearer {new}"))


def test_every_path_that_takes_a_body_needs_a_token_and_the_others_are_open(site, asking):
    application = site.application()
    ask = asking(application)
    document = application.openapi()
    asked = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answer = ask(method.upper(), path.replace("{", "").replace("}", ""))
            needs_token = method == "post" and path != "/api/token"
            assert ("security" in operation) == needs_token, path
            assert ("401" in operation["responses"]) == needs_token, path
            assert (answer.status_code == 401) == needs_token, path
            asked.add(path)
    assert {"/api/token", "/api/models/diabetes_risk_model/prediction", "/api/health/ready"} <= asked


@pytest.mark.parametrize("path", ["/below" + PREDICTION, PREDICTION])
def test_no_way_round_by_a_root_path(site, asking, path):
    ask = asking(site.application(), "/below")
    assert_refused(ask("POST", path, json={}), REALM)
    token = asking(site.application()).token(site.ana)
    assert is_let_in(ask("POST", path, json={}, headers={"Authorization": f"Bearer {token}"}))


@pytest.mark.parametrize(
    "path",
    [PREDICTION + "/", "/" + PREDICTION, PREDICTION.upper(), PREDICTION.replace("/api", "/x/../api"), "/api//token"],
)
def test_no_way_round_by_another_spelling(ask, path):
    assert ask("POST", path, json={}).status_code in (401, 404)


def test_a_refusal_of_the_inference_protocol_is_one_of_its_errors(ask):
    answer = ask("POST", "/v2/models/diabetes_risk_model/infer", json={})
    assert answer.status_code == 401
    assert {"type", "messages", "error"} <= set(answer.json())


def test_the_contract_has_the_password_flow(site):
    document = site.application().openapi()
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme == {"type": "oauth2", "flows": {"password": {"scopes": {}, "tokenUrl": "api/token"}}}
    operation = document["paths"]["/api/token"]["post"]
    assert set(operation["requestBody"]["content"]) == {"application/x-www-form-urlencoded"}
    for status in ("408", "413", "415", "429", "500", "503"):
        schema = operation["responses"][status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Error"}


def test_without_the_key_there_is_no_trace_of_it(site, asking):
    document = yaml.safe_load(site.configuration.read_text())
    del document["authentication"]
    site.configuration.write_text(yaml.safe_dump(document))
    application = site.application()
    assert "securitySchemes" not in application.openapi()["components"]
    assert asking(application).login("ana", "whatever").status_code == 404
    assert is_let_in(asking(application).predict())

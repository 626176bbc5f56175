"""The mix-in with `ml_base` itself, and served by `rest_model_service`."""

import importlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ml_base import MLModel
from pydantic import BaseModel
from sklearn.linear_model import LinearRegression

import signed_parameters as sp
from diabetes_risk_model.service.process import ServiceProcess

MODEL = """
from ml_base import MLModel
from pydantic import BaseModel

from signed_parameters import SignedParameters


class House(BaseModel):
    rooms: float


class Price(BaseModel):
    price: float


class HouseModel(SignedParameters, MLModel):
    display_name = "Prices of houses"
    qualified_name = "houses"
    description = "Estimates the price of a house."
    version = "0.1.0"
    input_schema = House
    output_schema = Price

    def predict(self, data: House) -> Price:
        return Price(price=self.parameters.predict([[data.rooms]])[0])
"""


@pytest.fixture
def houses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module with a model, as somebody's project has it."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "house_model.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path / "code")
    yield importlib.import_module("house_model")
    monkeypatch.delitem(sys.modules, "house_model")


@pytest.fixture
def sign(tmp_path: Path, key: sp.SigningKey) -> Callable[..., str]:
    def call(**changes: Any) -> str:
        model = LinearRegression().fit([[1.0], [2.0]], [100.0, 200.0])
        what = {"key": key, "name": "houses", "version": "0.1.0", "parameters_version": "1"}
        return sp.sign_model(model, tmp_path / "models", **{**what, **changes})

    return call


@pytest.fixture
def policy(key: sp.SigningKey) -> sp.TrustPolicy:
    return sp.TrustPolicy(name="houses", keys=[key.verification_key])


@pytest.fixture
def policy_file(tmp_path: Path, key: sp.SigningKey) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(f"name: houses\nkeys: ['{key.verification_key}']\nminimum_serial: 1\n")
    return path


def test_a_model_has_its_parameters(houses: Any, sign: Any, policy: sp.TrustPolicy, policy_file: Path) -> None:
    uri = sign()
    for trust_policy in (policy, policy_file, str(policy_file)):
        model = houses.HouseModel(parameters_uri=uri, trust_policy=trust_policy)
        assert isinstance(model, MLModel)
        assert model.predict(houses.House(rooms=3)).price == pytest.approx(300)
        assert (model.statement.parameters_version, model.key_ids) == ("1", (policy.trusted_keys[0].key_id,))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"name": "flats"}, sp.NameMismatch, "another model's: expected houses, found flats"),
        ({"version": "0.2.0"}, sp.NameMismatch, "another version of HouseModel: expected 0.1.0, found 0.2.0"),
        ({"key": sp.SigningKey.generate()}, sp.UnknownKey, "not signed by a trusted key"),
    ],
)
def test_a_package_that_is_not_the_model_s(
    changes: dict[str, Any], error: type[Exception], message: str, houses: Any, sign: Any, policy: sp.TrustPolicy
) -> None:
    with pytest.raises(error, match=message):
        houses.HouseModel(parameters_uri=sign(**changes), trust_policy=policy)


def test_the_policy_s_range_of_versions_rules(houses: Any, sign: Any, key: sp.SigningKey) -> None:
    policy = sp.TrustPolicy(name="houses", keys=[key.verification_key], version=">=0.1,<0.3")
    assert houses.HouseModel(parameters_uri=sign(version="0.2.0"), trust_policy=policy).statement.version == "0.2.0"
    with pytest.raises(sp.NameMismatch, match="a version that is not allowed"):
        houses.HouseModel(parameters_uri=sign(version="0.3.0"), trust_policy=policy)


def test_a_policy_of_another_model(houses: Any, sign: Any, key: sp.SigningKey) -> None:
    """Before anything is fetched: with it, another model's package would be taken."""
    policy = sp.TrustPolicy(name="flats", keys=[key.verification_key])
    with pytest.raises(sp.ConfigurationError, match="another model's: expected houses, found flats"):
        houses.HouseModel(parameters_uri=sign(name="flats"), trust_policy=policy)


@pytest.mark.parametrize(
    "keywords",
    [
        {"parameters_uri": None, "trust_policy": "policy.yaml"},
        {"parameters_uri": "models/x.zip", "trust_policy": None},
        {"parameters_uri": "models/x.zip", "trust_policy": "nowhere.yaml"},
    ],
)
def test_keywords_that_are_not_usable(keywords: dict[str, Any], houses: Any, policy: sp.TrustPolicy) -> None:
    if keywords["trust_policy"] == "policy.yaml":
        keywords = {**keywords, "trust_policy": policy}
    with pytest.raises(sp.ConfigurationError):
        houses.HouseModel(**keywords)


def test_a_model_can_read_more_than_its_parameters(
    houses: Any, sign: Any, policy: sp.TrustPolicy, tmp_path: Path
) -> None:
    class Output(BaseModel):
        pass

    class Documented(houses.HouseModel):  # type: ignore[misc,name-defined]
        def load_parameters(self, package: sp.VerifiedPackage) -> Any:
            self.card = package.read("card.md").decode()
            return super().load_parameters(package)

    (tmp_path / "card.md").write_text("# Houses")
    model = Documented(parameters_uri=sign(files={"card.md": tmp_path / "card.md"}), trust_policy=policy)
    assert model.card == "# Houses"
    assert model.predict(houses.House(rooms=2)).price == pytest.approx(200)


@pytest.fixture
def serve(tmp_path: Path, policy_file: Path) -> Callable[..., ServiceProcess]:
    """`with serve(uri) as service:` runs `rest_model_service` with the model, as a real process."""

    def call(uri: str, **options: Any) -> ServiceProcess:
        configuration = {"parameters_uri": uri, "trust_policy": str(policy_file)}
        model = {"class_path": "house_model.HouseModel", "create_endpoint": True, "configuration": configuration}
        path = tmp_path / "rest_config.yaml"
        path.write_text(yaml.safe_dump({"service_title": "Houses", "models": [model]}))
        environment = {"PYTHONPATH": str(tmp_path / "code")}
        return ServiceProcess("rest_model_service.main:app", path, environment, **options)

    return call


def _ask(service: ServiceProcess) -> tuple[int, Any]:
    request = urllib.request.Request(
        service.url + "/api/models/houses/prediction", b'{"rooms": 4}', {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None


def test_rest_model_service_serves_it(houses: Any, sign: Any, serve: Any) -> None:
    with serve(sign()) as service:
        status, answer = _ask(service)
    assert status == 200
    assert answer["price"] == pytest.approx(400)


def test_rest_model_service_serves_no_tampered_package(houses: Any, sign: Any, serve: Any) -> None:
    uri = sign()
    data = bytearray(Path(uri).read_bytes())
    data[70] ^= 1
    Path(uri).write_bytes(bytes(data))
    with serve(uri, wait_ready=False) as service:
        assert _ask(service)[0] != 200
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(service.url + "/api/health/ready", timeout=30)

"""The settings file of promotion."""

import pytest
import yaml

from diabetes_risk_model.promotion.settings import load_settings
from signed_parameters import ConfigurationError

GOOD = {
    "registry": "http://127.0.0.1:5000/",
    "packages": "s3://model-packages/",
    "repository": "ssh://git@git.example.org/deployments.git",
    "stages": {"staging": {"namespace": "diabetes-staging", "bucket": "s3://staging-files"}},
}


@pytest.fixture
def load(tmp_path):
    """`load(branch="x")` reads the good settings with changes."""

    def read(**changes):
        path = tmp_path / "promotion.yaml"
        path.write_text(yaml.safe_dump({**GOOD, **changes}))
        return load_settings(path)

    return read


def test_good_settings(load):
    settings = load()
    assert (settings.registry, settings.packages) == ("http://127.0.0.1:5000", "s3://model-packages")
    assert settings.registry_is_local
    assert not load(registry="https://mlflow.example.org").registry_is_local
    assert load(repository="git@git.example.org:deployments.git").repository.startswith("git@")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("registry", "ftp://host"),
        ("registry", "https://name:password@host"),
        ("packages", "s3://bucket/../other"),
        ("packages", "https://name:password@host/x"),
        ("repository", "--upload-pack=touch /tmp/x"),
        ("repository", "ext::sh -c true"),
        ("repository", "https://name:password@host/x.git"),
        ("branch", "--force"),
        ("branch", "+main"),
        ("branch", "main:other"),
        ("service_configuration", "../secret"),
        ("service_configuration", "/etc/passwd"),
        ("service_configuration", ".git/config"),
        ("stages", {}),
        ("stages", {"../x": GOOD["stages"]["staging"]}),
        ("stages", {"staging": {"namespace": "a/b", "bucket": "s3://x"}}),
        ("author", "A\nB"),
        ("email", "a@b> x"),
        ("unknown", 1),
    ],
)
def test_what_is_not_usable_is_named(load, name, value):
    with pytest.raises(ConfigurationError, match=f"not usable at {name}") as raised:
        load(**{name: value})
    assert "password@" not in str(raised.value)


def test_an_unknown_stage_is_named(load):
    with pytest.raises(ConfigurationError, match="no stage 'production'"):
        load().stage("production")

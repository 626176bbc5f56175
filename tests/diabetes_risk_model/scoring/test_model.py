"""Each process verifies by itself, once, and knows which package and which code is meant."""

from dataclasses import replace
from typing import Any

import pytest

from diabetes_risk_model import __version__
from diabetes_risk_model.scoring import model
from diabetes_risk_model.scoring.model import WantedModel, load_model, wanted_model
from signed_parameters import ConfigurationError, DigestMismatch


@pytest.fixture
def wanted(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> WantedModel:
    monkeypatch.setattr(model, "_loaded", {})
    digest = load_model(bucket.settings(), explained=False).metadata["package_digest"]
    return WantedModel(bucket.settings(), digest, __version__, False)


def test_a_package_is_fetched_once(wanted: WantedModel, bucket: Any) -> None:
    loaded = wanted_model(wanted)
    bucket.package.unlink()
    assert wanted_model(wanted) is loaded


def test_another_package_than_the_run_began_with_is_refused(wanted: WantedModel) -> None:
    with pytest.raises(DigestMismatch, match="exchanged"):
        wanted_model(replace(wanted, digest=f"blake3:{'0' * 64}"))


def test_another_version_of_the_code_is_refused(wanted: WantedModel) -> None:
    with pytest.raises(ConfigurationError, match="another version of the code"):
        wanted_model(replace(wanted, version="0.0.1"))


def test_references_to_secrets_are_filled_in_where_the_work_is_done(
    wanted: WantedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = {**wanted.configuration, "model_files_bucket": "${THE_BUCKET}"}
    with pytest.raises(ConfigurationError, match="THE_BUCKET is missing"):
        wanted_model(replace(wanted, configuration=configuration))
    monkeypatch.setenv("THE_BUCKET", str(wanted.configuration["model_files_bucket"]))
    wanted_model(replace(wanted, configuration=configuration))

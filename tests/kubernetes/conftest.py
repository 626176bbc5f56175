"""What pods would get: the rendered base with a package in its bucket, and the Secret of the service."""

from typing import Any

import pytest

from tests.container.conftest import service_image
from tests.diabetes_risk_model.conftest import bucket, make_bucket, trained_model
from tests.kubernetes.manifests import Manifests, rendered

__all__ = ["bucket", "make_bucket", "service_image", "trained_model"]

URL = "http://minio.model-services.svc:9000"


@pytest.fixture
def secrets(s3_server: Any) -> dict[str, dict[str, str]]:
    return {"model-reader": {"MINIO_ACCESS_KEY": s3_server.access_key, "MINIO_SECRET_KEY": s3_server.secret_key}}


@pytest.fixture
def objects(bucket: Any, s3_server: Any, s3_bucket: str) -> Manifests:
    """The base, with a package in its bucket and the public key of who signed it.

    The storage's address and the bucket are those of a test, as there is no cluster whose names could be looked up.
    """
    client = s3_server.settings.client()
    for path in bucket.folder.iterdir():
        client.fput_object(s3_bucket, path.name, str(path))
    manifests = rendered("base")
    parameters = manifests.find("ConfigMap", "model-parameters")["data"]
    parameters["PARAMETERS_VERIFICATION_KEYS"] = str(bucket.key.verification_key)
    configuration = manifests.find("ConfigMap", "rest-config")["data"]
    text = configuration["rest_config.yaml"]
    assert text.count(URL) == 1
    assert text.count("model_files_bucket: model-files") == 1
    configuration["rest_config.yaml"] = text.replace(URL, s3_server.url).replace(": model-files", f": {s3_bucket}")
    return manifests

"""The files of a stage's deployment: a kustomization over the base, and what the pods are told."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from diabetes_risk_model.promotion.policies import StagePolicy, dump
from diabetes_risk_model.promotion.record import FILE, Record
from diabetes_risk_model.promotion.settings import PromotionSettings
from signed_parameters import ConfigurationError
from signed_parameters.strict_yaml import Value, parse_yaml

SERVICE_CONFIGURATION = "rest_config.yaml"
POLICY = "trust_policy.yaml"
_MODEL_CLASS = "diabetes_risk_model.prediction.model.DiabetesRiskModel"
_OF_THE_POLICY = ("parameters_signing_key", "parameters_verification_keys", "minimum_serial", "revoked_keys")
_FORM = 1  # raise it when the files change for the same inputs


def deployment_folder(model: str, stage: str) -> str:
    """Return the folder of a stage's deployment in the repository."""
    return f"deployments/{model}/{stage}"


@dataclass(frozen=True)
class Inputs:
    """What a stage's files are made of, but for the package.

    Attributes:
        settings: of the promotion.
        stage: the stage's name.
        policy: the stage's.
        service: the service's configuration file, from the repository.
    """

    settings: PromotionSettings
    stage: str
    policy: StagePolicy
    service: bytes

    def digest(self) -> str:
        """Return a digest, by which a change of any of them is noticed."""
        stage = self.settings.stage(self.stage).model_dump(mode="json")
        parts = [
            _FORM,
            self.settings.base,
            stage,
            *(hashlib.sha256(t).hexdigest() for t in (self.policy.text, self.service)),
        ]
        return f"sha256:{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()}"


def render(inputs: Inputs, record: Record) -> dict[str, bytes]:
    """Return the files of a stage, by their paths in the repository. They follow from what is given, byte for byte.

    Args:
        inputs: what people wrote.
        record: what was promoted.

    Raises:
        ConfigurationError: the service's configuration in the repository is not usable.
    """
    settings, stage = inputs.settings, inputs.settings.stage(inputs.stage)
    parameters = {
        "MODEL_PARAMETERS_VERSION": record.parameters_version,
        "PACKAGE_DIGEST": record.digest,
        "PACKAGE_SERIAL": str(record.serial),
        "MINIMUM_SERIAL": str(record.serial),
    }
    files = {
        "kustomization.yaml": dump(_kustomization(settings.base, stage.namespace)),
        "parameters.env": "".join(f"{name}={value}\n" for name, value in parameters.items()).encode(),
        SERVICE_CONFIGURATION: dump(_service_configuration(inputs, record)),
        POLICY: inputs.policy.for_service(record.serial, record.digest),
        FILE: record.to_bytes(),
    }
    folder = deployment_folder(settings.model, inputs.stage)
    return {f"{folder}/{name}": content for name, content in files.items()}


def _service_configuration(inputs: Inputs, record: Record) -> dict[str, Value]:
    path, stage = inputs.settings.service_configuration, inputs.settings.stage(inputs.stage)
    fields = parse_yaml(inputs.service, f"the service configuration {path}")
    models = fields.get("models")
    ours: list[Any] = (
        [model for model in models if isinstance(model, dict) and model.get("class_path") == _MODEL_CLASS]
        if isinstance(models, list)
        else []
    )
    if len(ours) != 1 or not isinstance(ours[0].get("configuration"), dict):
        raise ConfigurationError(
            f"the service configuration {path} is not usable",
            expected=f"one model of class {_MODEL_CLASS}, with its configuration",
            found=f"{len(ours)} of them",
        )
    model: dict[str, Value] = ours[0]["configuration"]
    for name in _OF_THE_POLICY:
        model.pop(name, None)
    model["model_parameters_version"] = record.parameters_version
    model["model_files_bucket"] = record.package.rpartition("/")[0]
    model["trust_policy"] = f"{stage.mounted}/{POLICY}"
    if stage.minio_url is None:
        for name in ("minio_url", "minio_access_key", "minio_secret_key"):
            model.pop(name, None)
    else:
        model["minio_url"] = stage.minio_url
    return fields


def _kustomization(base: str, namespace: str) -> dict[str, Value]:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [base],
        "configMapGenerator": [
            {"name": "model-parameters", "behavior": "merge", "envs": ["parameters.env"]},
            {"name": "rest-config", "behavior": "replace", "files": [SERVICE_CONFIGURATION, POLICY]},
        ],
    }

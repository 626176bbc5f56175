"""The promotion's settings file: where everything is. It holds no secrets, and trusts nobody: the policies do that."""

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from signed_parameters import ConfigurationError
from signed_parameters.statement import Label
from signed_parameters.strict_yaml import read_yaml

VARIABLE = "PROMOTION_CONFIG"
DEFAULT = "promotion.yaml"
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def _check_folder(address: str) -> str:
    if "?" in address or "#" in address or ".." in address.split("/") or _has_password(address):
        raise ValueError("expected the address of a folder or bucket, without a password or a query")
    return address.rstrip("/")


def _check_path(path: str) -> str:
    if path.startswith("/") or any(part in ("", ".", "..", ".git") for part in path.split("/")):
        raise ValueError("expected a path inside the repository")
    return path


def _check_repository(address: str) -> str:
    if address.startswith("-") or "::" in address or _has_password(address):
        raise ValueError("expected ssh://..., https://..., USER@HOST:PATH or a path, without a password")
    return address


def _check_server(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("expected http://HOST:PORT or https://HOST, without a password or a query")
    return url.rstrip("/")


def _has_password(address: str) -> bool:
    return "://" in address and ":" in address.partition("://")[2].partition("/")[0].rpartition("@")[0]


Folder = Annotated[str, Field(min_length=1), AfterValidator(_check_folder)]
PathInside = Annotated[str, Field(min_length=1), AfterValidator(_check_path)]
StageName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class Stage(BaseModel):
    """Where a stage is deployed.

    Attributes:
        namespace: the cluster's namespace for it.
        bucket: where its packages are copied, as `s3://BUCKET`.
        minio_url: URL of the S3 server, as the pods reach it; None for a bucket that needs none.
        mounted: folder in which the pods find their configuration.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    namespace: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    bucket: Folder
    minio_url: Annotated[str, AfterValidator(_check_server)] | None = None
    mounted: str = Field(default="/etc/model-service", pattern="^/")


class PromotionSettings(BaseModel):
    """What the promotion works on.

    Attributes:
        registry: URL of the MLflow server.
        packages: the folder or bucket that training writes packages to. Packages are fetched from below it only.
        repository: the Git repository that deployments are committed to.
        branch: its branch.
        model: the model's qualified name, which is its name in the registry too.
        stages: by name. An alias of that name in the registry says which version a stage should have.
        base: the kustomization that each stage builds on, as seen from `deployments/MODEL/STAGE`.
        service_configuration: the service's configuration file in the repository, which each stage completes.
        author: name of the commits' author.
        email: of the commits' author.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    registry: Annotated[str, AfterValidator(_check_server)]
    packages: Folder
    repository: Annotated[str, Field(min_length=1), AfterValidator(_check_repository)]
    branch: str = Field(default="main", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*$")
    model: Label = "diabetes_risk_model"
    stages: dict[StageName, Stage] = Field(min_length=1)
    base: str = Field(default="../../../kubernetes/base", min_length=1)
    service_configuration: PathInside = "configuration/kubernetes_rest_config.yaml"
    author: str = Field(default="Promotion", pattern=r"^[^<>\x00-\x1f]+$")
    email: str = Field(default="promotion@localhost", pattern=r"^[^<>\s\x00-\x1f]+@[^<>\s\x00-\x1f]+$")

    @property
    def registry_is_local(self) -> bool:
        """Whether the registry is on this machine."""
        return urlsplit(self.registry).hostname in _LOCAL

    def stage(self, name: str) -> Stage:
        """Return a stage.

        Raises:
            ConfigurationError: there is none of that name.
        """
        if name not in self.stages:
            raise ConfigurationError(f"there is no stage {name!r}", expected=" or ".join(self.stages))
        return self.stages[name]


def settings_path() -> Path:
    """Return the path that PROMOTION_CONFIG names, or else `promotion.yaml` in the working folder."""
    return Path(os.environ.get(VARIABLE) or DEFAULT)


def load_settings(path: Path) -> PromotionSettings:
    """Read a settings file.

    Raises:
        ConfigurationError: it cannot be read, or something in it is not usable; the message names the place.
    """
    what = "promotion settings"
    fields = read_yaml(path, what, f"Name the file by --config, or set {VARIABLE}; docs/promotion.md shows one.")
    try:
        return PromotionSettings.model_validate(fields)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise ConfigurationError(
            f"the {what} {path} are not usable at {where}", found=problem["msg"].removeprefix("Value error, ")
        ) from None

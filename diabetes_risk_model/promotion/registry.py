"""MLflow's model registry, over its REST interface: five requests are all that promotion needs.

MLflow itself is not imported, so that a watcher stays small and starts at once. The registry is trusted with nothing:
answers are bounded, redirects are not followed, and what it says of a package is compared with the signed statement.
"""

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import urllib3

from signed_parameters import AccessDenied, ConfigurationError, NotFound, StorageError, Unavailable
from signed_parameters.limits import Limits
from signed_parameters.storage.careful_pool import UnusableAnswer, careful_pool

_LIMITS = Limits(read_seconds=15.0, download_seconds=30.0)
NUMBER = re.compile(r"[0-9]{1,9}")  # a version's: MLflow's database keeps it in 32 bits
_MISSING = "RESOURCE_DOES_NOT_EXIST"  # how MLflow says so of models and versions; its other words for HTTP 404 do not
_PREFIX = "/api/2.0/mlflow/"


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model, and its tags."""

    number: str
    tags: Mapping[str, str]


class Registry:
    """The registry's view of one model."""

    def __init__(self, url: str, model: str, *, send_credentials: bool) -> None:
        """Describe it; nothing is asked yet.

        MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, say who asks.

        Args:
            url: of the MLflow server.
            model: the registered model's name.
            send_credentials: whether the way to the server keeps them secret: https, or this machine.

        Raises:
            ConfigurationError: there are credentials, and they must not be sent there.
        """
        self._url = url
        self._model = model
        self._headers = _credentials()
        if self._headers and not send_credentials:
            raise ConfigurationError(
                "the credentials of the registry would be sent in clear", expected="https://...", found=url
            )
        self._pool = careful_pool(url, _LIMITS, xml=False)

    def aliases(self) -> dict[str, str]:
        """Return the number of the version that each alias means; none where the model is not registered.

        Raises:
            StorageError: the registry cannot be asked, or another server is there.
        """
        try:
            answer = self._ask("GET", "registered-models/get", {"name": self._model})
            listed = answer["registered_model"].get("aliases", [])
            aliases = {str(entry["alias"]): str(entry["version"]) for entry in listed}
        except NotFound:
            return {}
        except (LookupError, TypeError, AttributeError):
            raise self._odd() from None
        if not all(NUMBER.fullmatch(number) for number in aliases.values()):  # they get into commits
            raise self._odd()
        return aliases

    def version(self, number: str) -> ModelVersion:
        """Return a version.

        Raises:
            NotFound: there is none, or this is no version's number.
            StorageError: the registry cannot be asked, or another server is there.
        """
        answer = self._ask("GET", "model-versions/get", {"name": self._model, "version": number})
        try:
            listed = answer["model_version"].get("tags", [])
            return ModelVersion(number, {str(entry["key"]): str(entry.get("value", "")) for entry in listed})
        except (LookupError, TypeError, AttributeError):
            raise self._odd() from None

    def set_tag(self, number: str, key: str, value: str) -> None:
        """Write a tag of a version."""
        self._ask(
            "POST", "model-versions/set-tag", {"name": self._model, "version": number, "key": key, "value": value}
        )

    def set_alias(self, alias: str, number: str) -> None:
        """Let an alias mean a version."""
        self._ask("POST", "registered-models/alias", {"name": self._model, "alias": alias, "version": number})

    def _ask(self, method: str, path: str, fields: Mapping[str, str]) -> dict[str, Any]:
        what = f"version {fields['version']} of {self._model}" if "version" in fields else self._model
        if not NUMBER.fullmatch(fields.get("version", "1")):
            raise NotFound(f"the registry has no {what}", expected="a version's number, as 7")
        address, body, headers = self._url + _PREFIX + path, None, dict(self._headers)
        if method == "GET":
            address = f"{address}?{urlencode(fields)}"
        else:
            body = json.dumps(fields).encode()
            headers["Content-Type"] = "application/json"
        try:
            response = self._pool.urlopen(method, address, body=body, headers=headers)
        except UnusableAnswer as error:
            raise self._odd(str(error)) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason else error
            raise Unavailable(
                f"the registry {self._url} does not answer",
                found=type(reason).__name__,
                remedy="Check that it runs and that its address is right, then try again.",
            ) from None
        answer = _parsed(response.data or b"")  # urllib3 has None where there is no body
        if response.status != 200:
            raise self._failure(path, what, response.status, answer)
        if answer is None:
            raise self._odd()
        return answer

    def _failure(self, path: str, what: str, status: int, answer: dict[str, Any] | None) -> StorageError:
        match status:
            case 404 if answer and answer.get("error_code") == _MISSING:
                return NotFound(f"the registry has no {what}", remedy="Check the name and the number.")
            case 404:
                return StorageError(
                    "there is no registry at its address",
                    expected=f"MLflow's registry at {self._url}",
                    found=f"HTTP {status}, and not in MLflow's words",
                    remedy="Check the address of the registry in the settings of promotion.",
                )
            case 401 | 403:
                return AccessDenied(
                    f"the registry refuses access to {what}",
                    found=f"HTTP {status}",
                    remedy="Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
                )
        kind = Unavailable if status >= 500 or status == 429 else StorageError
        return kind(f"the registry {self._url} failed at {path} of {what}", found=f"HTTP {status}")

    def _odd(self, found: str = "") -> Unavailable:
        return Unavailable(
            f"the registry {self._url} gives an odd answer", expected="JSON as MLflow has it", found=found
        )


def _parsed(data: bytes) -> dict[str, Any] | None:
    """Return the object that an answer is as JSON; None where it is none."""
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _credentials() -> dict[str, str]:
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    name, password = (os.environ.get(f"MLFLOW_TRACKING_{part}", "") for part in ("USERNAME", "PASSWORD"))
    if not name and not password:
        return {}
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


def open_registry(url: str, model: str, *, local: bool) -> Registry:
    """Return the registry at a URL; `local` says that it is on this machine."""
    return Registry(url, model, send_credentials=local or url.startswith("https://"))

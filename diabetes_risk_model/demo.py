"""The demonstration: the whole way in small, then an attack on the stored package, which a new service refuses.

Everything is written below one folder. The S3 server and the services are real, and are stopped at the end.
"""

import json
import pickle
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rich.panel import Panel
from rich.table import Table

import signed_parameters as sp
from diabetes_risk_model import __version__
from diabetes_risk_model.data.sources import load_survey
from diabetes_risk_model.packaging import package_parameters
from diabetes_risk_model.progress import console, step
from diabetes_risk_model.service.process import ServiceError, ServiceProcess
from diabetes_risk_model.training.run import train
from signed_parameters.envelope import Envelope
from signed_parameters.local_server import LocalS3Server
from signed_parameters.statement import ENVELOPE_SUFFIX, Statement

BUCKET = "model-files"
CONFIGURATION = Path("configuration/rest_config.yaml")
APPLICATION = "diabetes_risk_model.service.main:app"
PREDICTION_PATH = "/api/models/diabetes_risk_model/prediction"
_FOLDERS = frozenset({"artefacts", "attack", "matplotlib", "packages", "s3"})
_REFUSAL_SECONDS = 30.0
_PEOPLE: tuple[tuple[str, dict[str, object]], ...] = (
    (
        "young, slim, in excellent health",
        {"body_mass_index": 22, "general_health": "EXCELLENT", "age": "FROM_25_TO_29", "income": "FROM_75_000"},
    ),
    (
        "older, heavy, in fair health",
        {"body_mass_index": 36.5, "general_health": "FAIR", "age": "FROM_65_TO_69", "income": "UNDER_20_000"},
    ),
    ("in good health, nothing else known", {"general_health": "GOOD"}),
)


class DemonstrationError(ServiceError):
    """A step of the demonstration did not end as it must."""


@dataclass(frozen=True)
class Stored:
    """A signed package in the local S3 server, and what a service needs to load it."""

    package: Path
    key: sp.SigningKey
    server: LocalS3Server
    parameters_version: str

    def environment(self) -> dict[str, str]:
        """Return the variables that `configuration/rest_config.yaml` refers to."""
        return {
            "MODEL_PARAMETERS_VERSION": self.parameters_version,
            "MINIO_URL": self.server.url,
            "MINIO_ACCESS_KEY": self.server.access_key,
            "MINIO_SECRET_KEY": self.server.secret_key,
            "PARAMETERS_VERIFICATION_KEYS": str(self.key.verification_key),
        }

    def put(self, path: Path, name: str) -> None:
        """Write a file into the bucket, as anybody with its credentials can."""
        self.server.client().fput_object(BUCKET, name, str(path))


def run(folder: Path, *, source: str = "auto", keep_serving: bool = False) -> None:
    """Run the demonstration.

    Args:
        folder: everything is written here; what an earlier run left in it is removed.
        source: of the survey, as in `load_survey`.
        keep_serving: leave out the attack, and go on serving until Ctrl-C.

    Raises:
        ConfigurationError: the folder holds something else, or the service's configuration is not in this folder.
        DemonstrationError: something did not end as it must.
    """
    _empty(folder)
    with ExitStack() as stack:
        files = _train(folder / "artefacts", source)
        server = stack.enter_context(LocalS3Server(folder / "s3"))
        stored = _package_and_store(files, folder / "packages", server)
        _chapter(3, "Serve", "A service fetches the package and verifies it before it loads a byte of it.")
        with step("Start uvicorn with configuration/rest_config.yaml") as running:
            service = stack.enter_context(ServiceProcess(APPLICATION, CONFIGURATION, stored.environment()))
            running.note(f"ready in {service.ready_seconds:.1f} s, {service.resident_megabytes():.0f} MB resident")
        _predict(service)
        if keep_serving:
            _wait(service)
        else:
            _attack(stored, service, folder)


def _empty(folder: Path) -> None:
    """Make the folder, or empty it of an earlier demonstration, but of nothing else."""
    if not CONFIGURATION.is_file():
        raise sp.ConfigurationError(f"there is no {CONFIGURATION} here", remedy="Run this in the repository's folder.")
    if folder.is_dir() and (strange := {path.name for path in folder.iterdir()} - _FOLDERS):
        raise sp.ConfigurationError(
            f"{folder} is not empty, and the demonstration would empty it",
            expected="a new folder, or that of an earlier demonstration",
            found=min(strange),
            remedy="Name another --folder.",
        )
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def _train(folder: Path, source: str) -> Mapping[str, Path]:
    _chapter(1, "Train", "From the survey's rows to the parameters of a model.")
    with step("Load the survey") as running:
        survey = load_survey(source)
        running.note(survey.description)
    artefacts = train(survey, folder, profile="quick", version=__version__, parameters_version=_today())
    return artefacts.files


def _package_and_store(files: Mapping[str, Path], folder: Path, server: LocalS3Server) -> Stored:
    _chapter(2, "Package, sign, store", "The files travel in one package. A signed envelope says what it must be.")
    with step("Make a signing key (Ed25519)") as running:
        key = sp.SigningKey.generate()
        running.note(f"key id {key.key_id}")
    with step("Build and sign the package") as running:
        package = package_parameters(files, folder, key=key, parameters_version=_today(), serial=1)
        running.note(f"{package.name}, {package.stat().st_size:,} bytes, {len(files)} files")
    with step("Store package and envelope in S3") as running:
        stored = Stored(package, key, server, _today())
        server.client().make_bucket(BUCKET)
        stored.put(package, package.name)
        stored.put(package.with_name(package.name + ENVELOPE_SUFFIX), package.name + ENVELOPE_SUFFIX)
        running.note(f"s3://{BUCKET}/ at {server.url}")
    return stored


def _predict(service: ServiceProcess) -> None:
    table = Table("person", "answer", "probability", box=None, padding=(0, 2), header_style="dim")
    for person, answers in _PEOPLE:
        status, answer = _post(service.url + PREDICTION_PATH, answers)
        if status != 200:
            raise DemonstrationError(f"expected a prediction for {answers}, found HTTP {status}: {answer}")
        table.add_row(person, str(answer["diabetes_risk"]), f"{answer['probability']:.3f}")
    console.print(table)
    status, answer = _post(service.url + PREDICTION_PATH, {"body_mass_index": 400})
    if status != 400:
        raise DemonstrationError(f"expected HTTP 400 for a body mass index of 400, found {status}: {answer}")
    with step("Ask with a body mass index of 400") as running:
        running.note(f"HTTP 400: {' '.join(answer['messages'])}")


def _attack(stored: Stored, service: ServiceProcess, folder: Path) -> None:
    _chapter(4, "Attack", "Somebody who can write to the bucket puts a pickle into the package that runs code.")
    forged = _forge(stored.package, folder / "attack")
    with step("What a plain pickle.load would do with it") as running:
        running.note(_load_plainly(folder / "attack" / "model.pkl"))
    stored.put(forged, stored.package.name)
    console.print("  [red]![/red] The attacker puts that package into the bucket, beside the envelope that was signed")
    _expect_refusal(stored, "DigestMismatch")

    thief = sp.SigningKey.generate()
    envelope = _sign_as(thief, forged, stored)
    stored.put(envelope, stored.package.name + ENVELOPE_SUFFIX)
    console.print("  [red]![/red] The attacker replaces the envelope too, signed with a key of the attacker's own")
    _expect_refusal(stored, "UnknownKey")

    status, answer = _post(service.url + PREDICTION_PATH, _PEOPLE[1][1])
    if status != 200:
        raise DemonstrationError(f"expected the running service to go on, found HTTP {status}: {answer}")
    console.print("  [green]✓[/green] The service that verified the true package goes on answering")
    console.print(
        Panel(
            "The attacker owned the bucket, and got no code into a service and no false answer out of one.\n"
            f"[dim]The model card: {folder / 'artefacts' / 'card.html'}   Next: make serve[/dim]",
            border_style="green",
        )
    )


def _forge(package: Path, folder: Path) -> sp.BuiltPackage:
    """Rebuild the package with a pickle that runs code when it is loaded. The code only prints."""
    folder.mkdir()
    shutil.unpack_archive(package, folder / "files")
    payload = folder / "model.pkl"
    payload.write_bytes(pickle.dumps(_RunsWhenLoaded()))
    shutil.copyfile(payload, folder / "files" / "model.pkl")
    names = [path for path in (folder / "files").rglob("*") if path.is_file()]
    contents = {path.relative_to(folder / "files").as_posix(): path for path in names}
    return sp.build_package(folder / package.name, contents)


class _RunsWhenLoaded:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code of the attacker ran while the model was being loaded",)


def _load_plainly(path: Path) -> str:
    command = [sys.executable, "-c", "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    if not said:
        raise DemonstrationError("expected the forged pickle to run code with pickle.load, found that it did not")
    return said


def _sign_as(key: sp.SigningKey, package: sp.BuiltPackage, stored: Stored) -> Path:
    """Write an envelope by hand: `sign_package` would look into the pickle, and refuse to sign it."""
    true = Envelope.from_bytes(Path(f"{stored.package}{ENVELOPE_SUFFIX}").read_bytes())
    statement = Statement.from_payload(true.payload).model_copy(
        update={"package_size": package.stat().st_size, "package_digest": package.digest, "files": package.files}
    )
    envelope = Path(f"{package}{ENVELOPE_SUFFIX}")
    envelope.write_bytes(Envelope(statement.to_payload(), ()).signed_by(key).to_bytes())
    return envelope


def _expect_refusal(stored: Stored, reason: str) -> None:
    """Start a new service, and expect it to refuse the package for this reason and to answer no prediction."""
    with (
        step("Start a new service") as running,
        ServiceProcess(APPLICATION, CONFIGURATION, stored.environment(), wait_ready=False) as service,
    ):
        deadline = time.monotonic() + _REFUSAL_SECONDS
        while not service.refuses() and time.monotonic() < deadline:
            if service.status("/api/health/ready") == 200:
                raise DemonstrationError("expected the new service to refuse the package, found that it is ready")
            time.sleep(0.05)
        status, _ = _post(service.url + PREDICTION_PATH, _PEOPLE[0][1])
        service.stop()  # its log is complete after this
        lines = [line for line in service.log().splitlines() if f"{reason}:" in line]
        if not lines or status == 200:
            raise DemonstrationError(f"expected a refusal with {reason}, found HTTP {status} and:\n{service.log(20)}")
        running.note("it refuses the package, and answers no prediction")
    console.print(f"    [dim]{lines[-1].rpartition('errors.')[2]}[/dim]")


def _wait(service: ServiceProcess) -> None:
    console.print(f"\n  Serving until Ctrl-C. Open [bold]{service.url}/try[/bold], read {service.url}/docs, or type:\n")
    body = json.dumps(_PEOPLE[1][1])
    console.print(
        f"  curl -H 'Content-Type: application/json' -d '{body}' {service.url}{PREDICTION_PATH}\n", soft_wrap=True
    )
    try:
        while service.running:
            time.sleep(0.2)
    except KeyboardInterrupt:
        return
    raise DemonstrationError(f"the service ended by itself; its log ends with:\n{service.log(20)}")


def _post(url: str, body: Mapping[str, object]) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def _chapter(number: int, title: str, text: str) -> None:
    console.print(f"\n[bold]{number}. {title}[/bold]  [dim]{text}[/dim]")


def _today() -> str:
    return date.today().strftime("%Y_%m_%d")

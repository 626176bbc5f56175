"""The command `diabetes-risk-model`: the steps of the flow, one by one, and the demonstration of all of them.

Exit status: 0 done, 1 refused by verification or a step that failed, 2 usage, configuration or data, 3 storage.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import click

from diabetes_risk_model import __version__
from diabetes_risk_model.drift.command import drift
from diabetes_risk_model.progress import console, step
from diabetes_risk_model.promotion.commands import promote
from diabetes_risk_model.promotion.register_command import PACKAGES, describe, nothing_lost, open_registration
from diabetes_risk_model.scoring.command import score
from diabetes_risk_model.service.authentication.commands import users
from signed_parameters import ConfigurationError, SignedParametersError

if TYPE_CHECKING:
    from diabetes_risk_model.training.parallel import Workers

_ARTEFACTS = Path("build/artefacts")
_DEMO = Path("build/demo")
_MOST_DAYS = 36_500
P = ParamSpec("P")

_source = click.option(
    "--source", default="auto", show_default=True, help="auto, kaggle, embedded, or the path of the survey's CSV file."
)
_seed = click.option("--seed", type=int, default=42, show_default=True)


def _command(function: Callable[P, None]) -> Callable[P, None]:
    """End with one line and the exit status of the error, instead of a traceback."""

    @wraps(function)
    def run(*arguments: P.args, **options: P.kwargs) -> None:
        from diabetes_risk_model.data.errors import DataError
        from diabetes_risk_model.service.process import ServiceError
        from diabetes_risk_model.training.errors import TrainingError
        from signed_parameters.local_server import LocalServerError

        try:
            function(*arguments, **options)
        except SignedParametersError as error:
            click.echo(f"{type(error).__name__}: {error}", err=True)
            sys.exit(error.exit_code)
        except DataError as error:
            click.echo(f"{type(error).__name__}: {error}", err=True)
            sys.exit(2)
        except (TrainingError, ServiceError, LocalServerError) as error:
            click.echo(f"{type(error).__name__}: {error}", err=True)
            sys.exit(1)
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            click.echo(f"{type(error).__name__}: {error.strerror or error}{where}", err=True)
            sys.exit(2)

    return run


def _say(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="diabetes-risk-model")
def main() -> None:
    """From the diabetes survey to a signed package, and to a verified prediction."""


@main.command()
@_source
@_seed
@click.option("--rows", type=click.IntRange(min=1), default=None, help="A sample of so many rows.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Write the rows as CSV.")
@_command
def data(source: str, seed: int, rows: int | None, out: Path | None) -> None:
    """Get and check the survey; say where it came from."""
    from diabetes_risk_model.data.sources import load_survey

    with step("Load the survey") as running:
        survey = load_survey(source, rows=rows, seed=seed)
        running.note(survey.description)
    console.print_json(json.dumps(survey.manifest()))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        survey.frame.to_csv(out, index=False)
        _say(f"wrote {out}")


@main.command()
@_source
@_seed
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("build/profile.html"))
@_command
def profile(source: str, seed: int, out: Path) -> None:
    """Write the sweetviz report on the survey."""
    from diabetes_risk_model.data.sources import load_survey
    from diabetes_risk_model.training.profile import profile_survey

    survey = load_survey(source, seed=seed)
    _say(survey.description)
    out.parent.mkdir(parents=True, exist_ok=True)
    profile_survey(survey, out)


@main.command()
@_source
@_seed
@click.option("--profile", type=click.Choice(["quick", "full"]), default="quick", show_default=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=_ARTEFACTS, show_default=True)
@click.option("--parameters-version", default=None, help="Default: today, as 2026_11_21.")
@click.option("--track", is_flag=True, help="Log the run in MLflow, store the signed package, register a version.")
@click.option("--key", default=None, help="With --track: file of the signing key, or env:NAME.")
@click.option("--serial", type=click.IntRange(min=0), default=None, help="With --track. Default: the next.")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), default=None, help="As of `promote`.")
@click.option("--scheduler", help="Cross-validate on the workers of this Dask scheduler, tls://HOST:PORT.")
@click.option("--allow-plain-scheduler", is_flag=True, help="Take one without TLS, which no stranger can reach.")
@_command
def train(
    source: str,
    seed: int,
    profile: str,
    out: Path,
    parameters_version: str | None,
    track: bool,
    key: str | None,
    serial: int | None,
    config: Path | None,
    scheduler: str | None,
    allow_plain_scheduler: bool,
) -> None:
    """Train, evaluate, reduce and export; write the package's files."""
    from diabetes_risk_model.data.sources import load_survey
    from diabetes_risk_model.packaging import check_parameters_version
    from diabetes_risk_model.training.run import train as run

    parameters_version = _today() if parameters_version is None else parameters_version
    check_parameters_version(parameters_version)
    register = _registration(key, serial, config, parameters_version) if track else None
    out.mkdir(parents=True, exist_ok=True)
    with _workers(scheduler, allow_plain_scheduler) as workers:
        with step("Load the survey") as running:
            survey = load_survey(source, seed=seed)
            running.note(survey.description)
        run(
            survey,
            out,
            profile=profile,
            seed=seed,
            version=__version__,
            parameters_version=parameters_version,
            workers=workers,
        )
    _say(f"The package's files are in {out}; look at {out / 'card.html'}.")
    if register is not None:
        register(out)


@main.command()
@click.argument("artefacts", type=click.Path(path_type=Path, file_okay=False), default=_ARTEFACTS)
@click.option("--key", required=True, help="File of the signing key, or env:NAME.")
@click.option("--serial", type=click.IntRange(min=0), required=True, help="Larger than that of the package before.")
@click.option("--expires-days", type=click.IntRange(1, _MOST_DAYS), default=None, help="Default: it does not expire.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=PACKAGES, show_default=True)
@_command
def package(artefacts: Path, key: str, serial: int, expires_days: int | None, out: Path) -> None:
    """Build and sign the package of what `train` wrote."""
    from diabetes_risk_model.packaging import package_parameters, trained_files
    from signed_parameters.cli.passphrases import signing_key

    files, parameters_version = trained_files(artefacts)
    written = package_parameters(
        files,
        out,
        key=signing_key(key),
        parameters_version=parameters_version,
        serial=serial,
        expires_in=None if expires_days is None else timedelta(days=expires_days),
    )
    _say(f"built and signed {written}")


@main.command()
@_source
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=_DEMO, show_default=True)
@click.option("--keep-serving", is_flag=True, help="No attack; serve until Ctrl-C.")
@_command
def demo(source: str, folder: Path, keep_serving: bool) -> None:
    """Show the whole way, from the survey to an attack that is refused."""
    from diabetes_risk_model.demo import run

    os.environ.setdefault("MPLCONFIGDIR", str(folder.absolute() / "matplotlib"))  # else it is in the home folder
    run(folder, source=source, keep_serving=keep_serving)


@main.command("compose-env")
@click.argument("package", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--key", "keys", multiple=True, required=True, help="A trusted verification key, or its file.")
@click.option("--s3-url", default=None, help="Another S3 server than MinIO; AWS_ACCESS_KEY_ID and its secret say who.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=Path(".env"), show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there, with new credentials.")
@_command
def compose_env(package: Path, keys: tuple[str, ...], s3_url: str | None, out: Path, overwrite: bool) -> None:
    """Write .env for compose.yaml: the package, whom to trust, and new credentials for the storage."""
    from diabetes_risk_model.compose_environment import compose_environment, write_environment
    from signed_parameters.cli.options import verification_key

    trusted = [verification_key(key) for key in keys]
    access_key, secret_key = (os.environ.get(f"AWS_{name}", "") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    variables = compose_environment(package, trusted, s3_url=s3_url, access_key=access_key, secret_key=secret_key)
    write_environment(variables, out, overwrite=overwrite)
    _say(f"wrote {out} for {package.name}; next: docker compose up")


@contextmanager
def _workers(scheduler: str | None, allow_plain: bool) -> Iterator["Workers | None"]:
    """Connect to the cluster that a training uses; None where it uses this process."""
    if scheduler is None:
        yield None
        return
    if find_spec("distributed") is None:
        raise ConfigurationError(
            "--scheduler needs distributed, not installed here", remedy="Install signed-parameters[batch]."
        )
    from diabetes_risk_model.scoring.cluster import workers_of
    from diabetes_risk_model.training.parallel import Workers

    with workers_of(scheduler, allow_plain=allow_plain) as client, Workers(client) as workers:
        yield workers


def _registration(
    key: str | None, serial: int | None, config: Path | None, parameters_version: str
) -> Callable[[Path], None]:
    """Return what registers a trained model. What would fail after the training is found out here, before it."""
    from diabetes_risk_model.promotion.tracking import check_before, track

    if key is None:
        raise click.UsageError("--track needs --key: what is registered is signed.")
    source = key
    settings, signer = open_registration(source, config)
    with step("Look whether it can be registered"):
        check_before(settings, key=signer, parameters_version=parameters_version, serial=serial)

    def register(artefacts: Path) -> None:
        with (
            nothing_lost(artefacts, source, serial, config),
            step("Log the run, store the signed package, register it"),
        ):
            tracked = track(artefacts, settings, key=signer, out=PACKAGES, serial=serial)
        for line in describe(tracked, signer):
            _say(line)

    return register


main.add_command(users)
main.add_command(promote)
main.command()(_command(score))
main.command()(_command(drift))


def _today() -> str:
    return date.today().strftime("%Y_%m_%d")

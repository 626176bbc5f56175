"""`diabetes-risk-model score`: score files of any number of rows."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

_MODEL = "diabetes_risk_model.prediction.model.DiabetesRiskModel"
_MOST_WORKERS = 1_024


@click.argument("source", metavar="INPUT")
@click.argument("output")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="REST_CONFIG",
    default=Path("configuration/rest_config.yaml"),
    show_default=True,
    help="The service's configuration file, which says which package is trusted, and where it is; or REST_CONFIG.",
)
@click.option("--explain", is_flag=True, help="Add what each answer contributes to a row's risk, in log-odds.")
@click.option("--overwrite", is_flag=True, help="Replace an output that is there.")
@click.option("--workers", type=click.IntRange(1, _MOST_WORKERS), help="Default: the processors of this machine.")
@click.option("--scheduler", help="Address of a Dask scheduler, tls://HOST:PORT, instead of this machine.")
@click.option("--allow-plain-scheduler", is_flag=True, help="Take one without TLS, which no stranger can reach.")
@click.option(
    "--partition-rows",
    type=click.IntRange(min=1),
    default=1_000_000,
    show_default=True,
    help="About how many rows are scored at once.",
)
def score(
    source: str,
    output: str,
    config: Path,
    explain: bool,
    overwrite: bool,
    workers: int | None,
    scheduler: str | None,
    allow_plain_scheduler: bool,
    partition_rows: int,
) -> None:
    """Score the rows of INPUT with the verified package, and write OUTPUT.

    INPUT is a Parquet or CSV file, a folder of them, or a pattern such as 's3://BUCKET/FOLDER/*.parquet'; OUTPUT is a
    file that ends with .parquet or .csv. Both are paths, or addresses as packages have them: s3://, gs://, az://.

    Rows that do not fit are in OUTPUT.rejects.csv, with the reason. A run that was stopped goes on where it was when
    the same command is given again.
    """
    from signed_parameters import ConfigurationError

    needed = ("pyarrow",) if scheduler is None else ("distributed", "pyarrow")
    if missing := [name for name in needed if find_spec(name) is None]:
        raise ConfigurationError(
            f"scoring needs {' and '.join(missing)}, not installed here", remedy="Install signed-parameters[batch]."
        )
    from diabetes_risk_model.progress import console
    from diabetes_risk_model.scoring.cluster import dask_workers_of
    from diabetes_risk_model.scoring.processes import processes_of_this_machine
    from diabetes_risk_model.scoring.run import Wanted
    from diabetes_risk_model.scoring.run import score as run

    if scheduler is not None and workers is not None:
        raise click.UsageError("--workers is for this machine; with --scheduler, the scheduler has workers of its own.")
    wanted = Wanted(source, output, model_configuration(config), partition_rows, explain, overwrite)
    chosen = (
        processes_of_this_machine(workers)
        if scheduler is None
        else dask_workers_of(scheduler, allow_plain=allow_plain_scheduler)
    )
    summary = run(wanted, chosen)
    told = f"; {summary.rejected:,} did not fit, see {summary.rejects}" if summary.rejected else ""
    console.print(f"scored {summary.scored:,} rows into {output}{told}", markup=False, soft_wrap=True)


def model_configuration(path: Path) -> dict[str, object]:
    """Return the model's configuration in a file of the service, with `${NAME}` as it is there.

    Raises:
        ConfigurationError: the file is not usable, or is not for this model.
    """
    from diabetes_risk_model.service.configuration import read_configuration
    from signed_parameters import ConfigurationError

    for model in read_configuration(path).models:
        if model.class_path == _MODEL:
            return dict(model.configuration or {})
    raise ConfigurationError(f"the configuration file {path} has no model of the class {_MODEL}")

"""`diabetes-risk-model drift`: compare a scored batch with the rows that the model was trained on."""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import click

EXIT_DRIFT = 4
_SHARE = click.FloatRange(0, 1)
_INDEX = click.FloatRange(min=0, min_open=True)
_NEEDED = ("jinja2", "matplotlib", "pyarrow", "scipy")


@click.argument("scores")
@click.argument("report")
@click.option("--input", "source", help="What was scored. Without it only the predictions are compared.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="REST_CONFIG",
    default=Path("configuration/rest_config.yaml"),
    show_default=True,
    help="The service's configuration file, which says which package is trusted, and where it is; or REST_CONFIG.",
)
@click.option("--last", is_flag=True, help="Of several files of scores take the last, in the order of their names.")
@click.option("--moved", type=_INDEX, default=0.1, show_default=True, help="Stability index that counts as moved.")
@click.option("--drift", "drifted", type=_INDEX, default=0.25, show_default=True, help="Index that counts as drift.")
@click.option("--significance", type=_SHARE, default=0.01, show_default=True, help="Chance may make it so often.")
@click.option("--missing", type=_SHARE, default=0.05, show_default=True, help="More missing answers than in training.")
@click.option("--rejected", type=_SHARE, default=0.05, show_default=True, help="Share of rows that may be rejected.")
@click.option("--fail-on-drift", is_flag=True, help=f"End with status {EXIT_DRIFT} where there is drift.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace a report that is there.")
def drift(
    scores: str,
    report: str,
    source: str | None,
    config: Path,
    last: bool,
    moved: float,
    drifted: float,
    significance: float,
    missing: float,
    rejected: float,
    fail_on_drift: bool,
    as_json: bool,
    overwrite: bool,
) -> None:
    """Compare SCORES with the training profile of the verified package, and write REPORT.

    SCORES are Parquet files that `score` wrote: one, a folder of them, or a pattern; REPORT is a file that ends with
    .html. Both are paths, or addresses as packages have them. `{name}` in REPORT and in --input stands for the name of
    the scores' file without its ending.
    """
    from signed_parameters import ConfigurationError

    if lacking := [name for name in _NEEDED if find_spec(name) is None]:
        raise ConfigurationError(
            f"the drift check needs {' and '.join(lacking)}, not installed here",
            remedy="Install signed-parameters[batch].",
        )
    from diabetes_risk_model.drift.check import Result, Wanted, check_drift
    from diabetes_risk_model.drift.comparison import Status, Thresholds
    from diabetes_risk_model.progress import console
    from diabetes_risk_model.scoring.command import model_configuration

    if not moved <= drifted:
        raise click.UsageError("--drift is below --moved, or no number: what has drifted has moved too.")
    if not (0 <= significance <= 1 and 0 <= missing <= 1 and 0 <= rejected <= 1):
        raise click.UsageError("--significance, --missing and --rejected are numbers from 0 to 1.")
    thresholds = Thresholds(moved, drifted, significance, missing, rejected)
    wanted = Wanted(scores, report, source, model_configuration(config), thresholds, last, overwrite)
    # JSON alone is on the standard output; the steps are told beside it.
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        result: Result = check_drift(wanted)
    if as_json:
        click.echo(result.to_json())
    else:
        for each in result.columns:
            index = "no values" if each.index is None else f"index {each.index:.3f}"
            console.print(f"{each.training.name}: {each.status}, {index}", markup=False, soft_wrap=True)
        console.print(
            f"rejected rows: {result.rejected_status}, {result.rejected:,}\n{result.status}: see {result.report}",
            markup=False,
            soft_wrap=True,
        )
    if fail_on_drift and result.status is Status.DRIFT:
        sys.exit(EXIT_DRIFT)

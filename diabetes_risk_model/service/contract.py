"""Write the service's contract, `service_contract.yaml`, or check that it is the one that the code gives.

Nothing is fetched and no parameters are loaded: the contract follows from the schemas alone.
"""

from pathlib import Path

import click
import yaml

from diabetes_risk_model.prediction.model import DiabetesRiskModel
from diabetes_risk_model.service.application import application_of
from diabetes_risk_model.service.configuration import CheckedConfiguration, CheckedModel

DEFAULT_PATH = Path("service_contract.yaml")


def contract() -> str:
    """Return the contract, as YAML."""
    model = CheckedModel(
        class_path=f"{DiabetesRiskModel.__module__}.{DiabetesRiskModel.__name__}", create_endpoint=True
    )
    configuration = CheckedConfiguration(
        service_title=f"{DiabetesRiskModel.display_name} Service",
        version=DiabetesRiskModel.version,
        description=DiabetesRiskModel.description,
        models=[model],
    )
    return str(yaml.safe_dump(application_of(configuration).openapi(), sort_keys=True, width=120))


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=DEFAULT_PATH)
@click.option("--check", is_flag=True, help="Write nothing; end with status 1 where the file is not up to date.")
def main(path: Path, check: bool) -> None:
    """Write the service's contract to PATH."""
    wanted = contract()
    if not check:
        path.write_text(wanted, encoding="utf-8")
    elif not path.is_file() or path.read_text(encoding="utf-8") != wanted:
        raise click.ClickException(
            f"{path} is not the contract that the code gives. Run `make contract` and commit it."
        )


if __name__ == "__main__":
    main()

"""Write the service's contract, `service_contract.yaml`, or check that it is the one that the code gives.

Nothing is fetched and no parameters are loaded: the contract follows from the schemas alone.
"""

from pathlib import Path

import click
import yaml
from ml_base.utilities import ModelManager
from rest_model_service.configuration import Model, ServiceConfiguration
from rest_model_service.helpers import create_app

from diabetes_risk_model.prediction.model import DiabetesRiskModel

DEFAULT_PATH = Path("service_contract.yaml")


class ModelWithoutParameters(DiabetesRiskModel):
    """The model's names and schemas, with nothing loaded."""

    def __init__(self) -> None:
        """Load nothing."""


def contract() -> str:
    """Return the contract, as YAML."""
    ModelManager().clear_instance()
    configuration = ServiceConfiguration(
        service_title=f"{DiabetesRiskModel.display_name} Service",
        version=DiabetesRiskModel.version,
        description=DiabetesRiskModel.description,
        models=[Model(class_path=f"{__name__}.{ModelWithoutParameters.__name__}", create_endpoint=True)],
    )
    application = create_app(configuration, wait_for_model_creation=True)
    ModelManager.clear_instance()
    return str(yaml.safe_dump(application.openapi(), sort_keys=True, width=120))


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

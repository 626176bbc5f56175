"""The service's entry point: `REST_CONFIG=... uvicorn diabetes_risk_model.service.main:app`."""

from diabetes_risk_model.service.application import build_application
from diabetes_risk_model.service.configuration import configuration_path

app = build_application(configuration_path())

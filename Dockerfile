# The service, without parameters: it fetches and verifies them when it starts.
#
# BASE_IMAGE is a slim image with Python 3.11. For production, pin it by digest: --build-arg BASE_IMAGE=python:3.11-slim@sha256:...
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
WORKDIR /build
COPY service_requirements.txt .
RUN python3 -m venv --copies /opt/service \
    && /opt/service/bin/python -m pip install --no-cache-dir --require-hashes --no-deps --only-binary :all: \
        -r service_requirements.txt \
    && /opt/service/bin/python -m pip uninstall --yes --quiet setuptools pip
COPY signed_parameters /opt/service/application/signed_parameters
COPY diabetes_risk_model/__init__.py /opt/service/application/diabetes_risk_model/
COPY diabetes_risk_model/data/__init__.py diabetes_risk_model/data/columns.py /opt/service/application/diabetes_risk_model/data/
COPY diabetes_risk_model/prediction /opt/service/application/diabetes_risk_model/prediction
COPY diabetes_risk_model/service /opt/service/application/diabetes_risk_model/service
RUN /opt/service/bin/python -m compileall -q /opt/service/application

FROM ${BASE_IMAGE} AS service
LABEL org.opencontainers.image.title="diabetes-risk-model" \
      org.opencontainers.image.description="Diabetes risk service; verifies its signed parameters before it loads them" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/service /opt/service
COPY configuration/docker_rest_config.yaml /etc/service/rest_config.yaml
ENV PATH=/opt/service/bin:$PATH \
    PYTHONPATH=/opt/service/application \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONUNBUFFERED=1 \
    REST_CONFIG=/etc/service/rest_config.yaml
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/api/health/ready', timeout=2)"]
CMD ["python", "-m", "uvicorn", "diabetes_risk_model.service.main:app", "--host", "0.0.0.0", "--port", "8000"]

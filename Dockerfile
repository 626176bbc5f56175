# The images of the service, and of the initializer that fetches and verifies a package before a model server starts.
#
#   docker build --target service --tag diabetes-risk-model:0.1.0 .
#   docker build --target initializer --tag signed-parameters-initializer:0.1.0 .
#
# Neither holds parameters: they are fetched and verified at the start. docs/container.md says what else is left out.
#
# BASE_IMAGE has Python 3.11 as `python3`. For production, pin it by digest: --build-arg BASE_IMAGE=python:3.11-slim-bookworm@sha256:...
# BUILD_IMAGE has the same Python with venv; it differs only where BASE_IMAGE has no installer.
ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm
ARG BUILD_IMAGE=${BASE_IMAGE}

FROM ${BUILD_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_CACHE_DIR=1
RUN ["python3", "-m", "venv", "/build/pip"]
COPY deployment /build/deployment

FROM build AS service-build
COPY service_requirements.txt /build/
# The secrets are for a mirror of the package index and its certificate, where there is one: docs/container.md.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=certificates,target=/run/secrets/certificates,required=false \
    ["/build/pip/bin/python", "-m", "pip", "install", "--quiet", "--no-compile", "--require-hashes", "--no-deps", \
     "--only-binary", ":all:", "--target", "/opt/service/packages", "--requirement", "/build/service_requirements.txt"]
RUN ["python3", "/build/deployment/remove_unused.py", "/opt/service/packages"]
COPY signed_parameters /opt/service/application/signed_parameters
COPY diabetes_risk_model/__init__.py /opt/service/application/diabetes_risk_model/
COPY diabetes_risk_model/data/__init__.py diabetes_risk_model/data/columns.py /opt/service/application/diabetes_risk_model/data/
COPY diabetes_risk_model/prediction /opt/service/application/diabetes_risk_model/prediction
COPY diabetes_risk_model/service /opt/service/application/diabetes_risk_model/service
ENV PYTHONPATH=/opt/service/application:/opt/service/packages PYTHONPYCACHEPREFIX=/opt/service/bytecode
RUN ["python3", "/build/deployment/write_bytecode.py", "--tree", "/opt/service/application", \
     "diabetes_risk_model.service.server.command", "diabetes_risk_model.prediction.model", "signed_parameters.storage.s3", \
     "onnxruntime", "uvicorn.loops.uvloop", "uvicorn.protocols.http.httptools_impl", "uvicorn.lifespan.on"]

FROM build AS initializer-build
COPY initializer_requirements.txt /build/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=certificates,target=/run/secrets/certificates,required=false \
    ["/build/pip/bin/python", "-m", "pip", "install", "--quiet", "--no-compile", "--require-hashes", "--no-deps", \
     "--only-binary", ":all:", "--target", "/opt/initializer/packages", "--requirement", "/build/initializer_requirements.txt"]
RUN ["python3", "/build/deployment/remove_unused.py", "/opt/initializer/packages"]
COPY signed_parameters /opt/initializer/application/signed_parameters
ENV PYTHONPATH=/opt/initializer/application:/opt/initializer/packages PYTHONPYCACHEPREFIX=/opt/initializer/bytecode
RUN ["python3", "/build/deployment/write_bytecode.py", "--tree", "/opt/initializer/application", \
     "signed_parameters.cli", "signed_parameters.storage.s3"]

FROM ${BASE_IMAGE} AS base
RUN --mount=type=bind,from=build,source=/build/deployment,target=/deployment \
    ["python3", "/deployment/harden.py"]
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1
USER 10001:10001
WORKDIR /tmp

FROM base AS initializer
ARG REVISION=unknown
LABEL org.opencontainers.image.title="signed-parameters-initializer" \
      org.opencontainers.image.description="Fetches and verifies a package of model parameters before a model server starts" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT"
COPY --from=initializer-build /opt/initializer /opt/initializer
ENV PYTHONPATH=/opt/initializer/application:/opt/initializer/packages PYTHONPYCACHEPREFIX=/opt/initializer/bytecode
ENTRYPOINT ["python3", "-m", "signed_parameters", "initialize"]

FROM base AS service
ARG REVISION=unknown
LABEL org.opencontainers.image.title="diabetes-risk-model" \
      org.opencontainers.image.description="Diabetes risk service; verifies its signed parameters before it loads them" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT"
COPY --from=service-build /opt/service /opt/service
COPY configuration/docker_rest_config.yaml /etc/service/rest_config.yaml
ENV PYTHONPATH=/opt/service/application:/opt/service/packages PYTHONPYCACHEPREFIX=/opt/service/bytecode \
    ORT_DISABLE_TELEMETRY=1 \
    REST_CONFIG=/etc/service/rest_config.yaml HOST=0.0.0.0 PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python3", "-I", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/api/health/ready', timeout=2)"]
CMD ["python3", "-m", "diabetes_risk_model.service"]

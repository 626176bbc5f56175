# The images: of the service, of the initializer that fetches and verifies a package before a model server starts, and of
# what stands around them.
#
#   docker build --target service --tag diabetes-risk-model:0.1.0 .
#   docker build --target initializer --tag signed-parameters-initializer:0.1.0 .
#   docker build --target promotion --tag diabetes-risk-model-promotion:0.1.0 .
#   docker build --target registry --tag diabetes-risk-model-registry:0.1.0 .
#   docker build --target batch --tag diabetes-risk-model-batch:0.1.0 .
#
# None holds parameters: they are fetched and verified at the start. docs/container.md says what else is left out.
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

FROM build AS batch-build
COPY batch_requirements.txt /build/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=certificates,target=/run/secrets/certificates,required=false \
    ["/build/pip/bin/python", "-m", "pip", "install", "--quiet", "--no-compile", "--require-hashes", "--no-deps", \
     "--only-binary", ":all:", "--target", "/opt/batch/packages", "--requirement", "/build/batch_requirements.txt"]
RUN ["python3", "/build/deployment/remove_unused.py", "/opt/batch/packages"]
COPY signed_parameters /opt/batch/application/signed_parameters
COPY diabetes_risk_model /opt/batch/application/diabetes_risk_model
ENV PYTHONPATH=/opt/batch/application:/opt/batch/packages PYTHONPYCACHEPREFIX=/opt/batch/bytecode
RUN ["python3", "/build/deployment/write_bytecode.py", "--tree", "/opt/batch/application", \
     "diabetes_risk_model.scoring.run", "diabetes_risk_model.scoring.cluster", "diabetes_risk_model.drift.check", \
     "diabetes_risk_model.drift.report", "diabetes_risk_model.service.configuration", "signed_parameters.storage.s3", \
     "matplotlib.backends.backend_svg", "scipy.stats", "shap", "distributed.cli.dask_scheduler", "distributed.cli.dask_worker"]

FROM build AS promotion-build
COPY promotion_requirements.txt /build/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=certificates,target=/run/secrets/certificates,required=false \
    ["/build/pip/bin/python", "-m", "pip", "install", "--quiet", "--no-compile", "--require-hashes", "--no-deps", \
     "--only-binary", ":all:", "--target", "/opt/promotion/packages", "--requirement", "/build/promotion_requirements.txt"]
RUN ["python3", "/build/deployment/remove_unused.py", "/opt/promotion/packages"]
COPY signed_parameters /opt/promotion/application/signed_parameters
COPY diabetes_risk_model/__init__.py /opt/promotion/application/diabetes_risk_model/
COPY diabetes_risk_model/promotion /opt/promotion/application/diabetes_risk_model/promotion
ENV PYTHONPATH=/opt/promotion/application:/opt/promotion/packages PYTHONPYCACHEPREFIX=/opt/promotion/bytecode
RUN ["python3", "/build/deployment/write_bytecode.py", "--tree", "/opt/promotion/application", \
     "diabetes_risk_model.promotion.commands", "diabetes_risk_model.promotion.watcher", \
     "diabetes_risk_model.promotion.webhooks", "signed_parameters.storage.s3"]

FROM build AS registry-build
COPY registry_requirements.txt /build/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=certificates,target=/run/secrets/certificates,required=false \
    ["/build/pip/bin/python", "-m", "pip", "install", "--quiet", "--no-compile", "--require-hashes", "--no-deps", \
     "--only-binary", ":all:", "--target", "/opt/registry/packages", "--requirement", "/build/registry_requirements.txt"]
RUN ["python3", "/build/deployment/remove_unused.py", "/opt/registry/packages"]
ENV PYTHONPATH=/opt/registry/packages PYTHONPYCACHEPREFIX=/opt/registry/bytecode MLFLOW_DISABLE_TELEMETRY=true
RUN ["python3", "/build/deployment/write_bytecode.py", \
     "mlflow.cli", "mlflow.server.fastapi_app", "mlflow.server.auth", "mlflow.store.tracking.sqlalchemy_store", \
     "mlflow.store.model_registry.sqlalchemy_store", "mlflow.store.artifact.s3_artifact_repo", "boto3", \
     "gunicorn.app.wsgiapp", "gunicorn.workers.gthread"]

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

FROM base AS batch
ARG REVISION=unknown
LABEL org.opencontainers.image.title="diabetes-risk-model-batch" \
      org.opencontainers.image.description="Scores files with verified parameters, checks for drift; Dask's scheduler and workers" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT"
COPY --from=batch-build /opt/batch /opt/batch
ENV PYTHONPATH=/opt/batch/application:/opt/batch/packages PYTHONPYCACHEPREFIX=/opt/batch/bytecode \
    MPLCONFIGDIR=/tmp/matplotlib NUMBA_CACHE_DIR=/tmp/numba
ENTRYPOINT ["python3", "-m", "diabetes_risk_model"]

FROM base AS promotion
USER 0:0
RUN --mount=type=bind,from=build,source=/build/deployment,target=/deployment \
    ["python3", "/deployment/add_programs.py", "git", "openssh-client"]
RUN --mount=type=bind,from=build,source=/build/deployment,target=/deployment \
    ["python3", "/deployment/add_user.py", "promotion"]
RUN --mount=type=bind,from=build,source=/build/deployment,target=/deployment \
    ["python3", "/deployment/harden.py"]
USER 10001:10001
ARG REVISION=unknown
LABEL org.opencontainers.image.title="diabetes-risk-model-promotion" \
      org.opencontainers.image.description="Turns what the registry's aliases mean into commits, after verifying the packages" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT"
COPY --from=promotion-build /opt/promotion /opt/promotion
ENV PYTHONPATH=/opt/promotion/application:/opt/promotion/packages PYTHONPYCACHEPREFIX=/opt/promotion/bytecode \
    PROMOTION_CONFIG=/etc/promotion/promotion.yaml
ENTRYPOINT ["python3", "-m", "diabetes_risk_model.promotion"]
CMD ["watch"]

FROM base AS registry
USER 0:0
RUN --mount=type=bind,from=build,source=/build/deployment,target=/deployment \
    ["python3", "/deployment/add_user.py", "registry"]
# A new volume of Docker's takes its owner from here.
RUN ["python3", "-c", "import os; os.mkdir('/data', 0o700); os.chown('/data', 10001, 10001)"]
USER 10001:10001
ARG REVISION=unknown
LABEL org.opencontainers.image.title="diabetes-risk-model-registry" \
      org.opencontainers.image.description="MLflow's registry, with artefacts on S3" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT"
COPY --from=registry-build /opt/registry /opt/registry
# Under gunicorn MLflow has no assistant, which would run shell commands for clients, and no native routes; docs/container.md.
ENV PYTHONPATH=/opt/registry/packages PYTHONPYCACHEPREFIX=/opt/registry/bytecode HOME=/nonexistent \
    MLFLOW_GUNICORN_OPTS="--threads=32 --no-control-socket --access-logfile=-" \
    MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_ENABLE_AI_GATEWAY=false
EXPOSE 5000
ENTRYPOINT ["python3", "-m", "mlflow"]

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

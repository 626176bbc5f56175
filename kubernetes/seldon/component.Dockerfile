# The component in Seldon's microservice. What the project needs stands in a folder of its own, and is found before what
# Seldon's pins allow:
#
#   docker build --file kubernetes/seldon/component.Dockerfile --tag diabetes-risk-component:0.1.0 .
#
# BASE_IMAGE has Python 3.11 as `python3`, with venv.
ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_CACHE_DIR=1
RUN ["python3", "-m", "venv", "/build/pip"]
COPY benchmarks/peers/seldon/requirements.txt /build/seldon.txt
COPY deployment/beside_a_server/requirements.txt /build/project.txt
# The secrets are for a mirror of the package index and its certificate, where there is one: docs/container.md.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=certificates,target=/run/secrets/certificates,required=false \
    ["/build/pip/bin/python", "-m", "pip", "install", "--quiet", "--no-compile", "--require-hashes", "--no-deps", \
     "--target", "/opt/seldon", "--requirement", "/build/seldon.txt"]
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=certificates,target=/run/secrets/certificates,required=false \
    ["/build/pip/bin/python", "-m", "pip", "install", "--quiet", "--no-compile", "--require-hashes", "--no-deps", \
     "--target", "/opt/project", "--requirement", "/build/project.txt"]
COPY signed_parameters /opt/application/signed_parameters
COPY diabetes_risk_model /opt/application/diabetes_risk_model

FROM ${BASE_IMAGE} AS component
COPY --from=build /opt /opt
ENV PYTHONPATH=/opt/application:/opt/project:/opt/seldon PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 8888:8888
WORKDIR /tmp
CMD ["python3", "-m", "seldon_core.microservice", "diabetes_risk_model.servers.seldon_component.DiabetesRisk", \
     "--service-type", "MODEL"]

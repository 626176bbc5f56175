"""What Dask's operator makes of a DaskJob, and the schemas of its objects.

The schemas hold the fields that are used here, with the types that the published definitions give them. What is a pod's
or a Service's is not in them: it is checked in the objects that are made.
"""

import copy
import json
from pathlib import Path

import jsonschema

from tests.kubernetes.manifests import Manifest, Manifests

_SCHEMAS = {"DaskCluster": "dask_cluster", "DaskJob": "dask_job"}


def validate(item: Manifest) -> None:
    """Check an object of the operator. Raises jsonschema.ValidationError."""
    schema = json.loads((Path(__file__).parent / "crds" / f"{_SCHEMAS[item['kind']]}.json").read_text())
    jsonschema.validate(item, schema)


def cluster_of(job: Manifest) -> Manifest:
    """Return the DaskCluster that is made for a DaskJob."""
    name = job["metadata"]["name"]
    spec = copy.deepcopy(job["spec"]["cluster"]["spec"])
    labels = {**job["metadata"].get("labels", {}), "dask.org/cluster-name": name}
    metadata = {"name": name, "namespace": job["metadata"]["namespace"], "labels": labels, "annotations": {}}
    parts = {part: spec[part] for part in ("worker", "scheduler")}
    return {"apiVersion": "kubernetes.dask.org/v1", "kind": "DaskCluster", "metadata": metadata, "spec": parts}


def made_of(job: Manifest) -> Manifests:
    """Return what is made of a DaskJob: the job's pod, a Deployment and a Service of the scheduler, one of a worker."""
    name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
    cluster = cluster_of(job)
    parts = cluster["spec"]
    address = f"tcp://{name}-scheduler.{namespace}.svc.cluster.local:8786"
    runner = copy.deepcopy(job["spec"]["job"])
    _add_variables(runner["spec"], DASK_SCHEDULER_ADDRESS=address)
    worker_name = f"{name}-default-worker-0a1b2c3d4e"
    worker = parts["worker"]["spec"]
    _add_variables(worker, DASK_WORKER_NAME=worker_name, DASK_SCHEDULER_ADDRESS=address)
    labels = {
        "job": job["metadata"].get("labels", {}) | runner.get("metadata", {}).get("labels", {}),
        **{part: cluster["metadata"]["labels"] | parts[part].get("metadata", {}).get("labels", {}) for part in parts},
    }
    common = {"dask.org/cluster-name": name, "sidecar.istio.io/inject": "false"}
    of_the_job = labels["job"] | common | {"dask.org/component": "job-runner"}
    of_the_scheduler = labels["scheduler"] | common | {"dask.org/component": "scheduler"}
    of_the_worker = (
        labels["worker"] | common | {"dask.org/component": "worker", "dask.org/workergroup-name": f"{name}-default"}
    )
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{name}-scheduler", "namespace": namespace, "labels": of_the_scheduler},
        "spec": parts["scheduler"]["service"],
    }
    pod = {"name": f"{name}-runner", "namespace": namespace, "labels": of_the_job}
    return Manifests(
        [
            {"apiVersion": "v1", "kind": "Pod", "metadata": pod, "spec": runner["spec"]},
            _deployment(f"{name}-scheduler", namespace, of_the_scheduler, parts["scheduler"]["spec"]),
            service,
            _deployment(worker_name, namespace, of_the_worker, worker),
        ]
    )


def _deployment(name: str, namespace: str, labels: dict[str, str], spec: Manifest) -> Manifest:
    template = {"metadata": {"name": name, "labels": labels}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }


def _add_variables(spec: Manifest, **values: str) -> None:
    """Add variables to each container that does not name them itself."""
    for container in spec["containers"]:
        given = container.setdefault("env", [])
        names = {one["name"] for one in given}
        given += [{"name": name, "value": value} for name, value in values.items() if name not in names]

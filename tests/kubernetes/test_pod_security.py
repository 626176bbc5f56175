"""Every pod may run in a restricted namespace; and each rule refuses a pod that breaks it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.kubernetes.manifests import KUSTOMIZATIONS, rendered
from tests.kubernetes.pod_security import violations

Break = Callable[[dict[str, Any], dict[str, Any]], object]
PREFIX = "pod-security.kubernetes.io"

BREAKS: list[tuple[str, Break]] = [
    ("host namespaces", lambda pod, _: pod.update(hostNetwork=True)),
    ("host namespaces", lambda pod, _: pod.update(hostPID=True)),
    ("host namespaces", lambda pod, _: pod.update(hostIPC=True)),
    ("volume types", lambda pod, _: pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}})),
    ("volume types", lambda pod, _: pod["volumes"].append({"name": "share", "nfs": {"server": "a", "path": "/"}})),
    ("sysctls", lambda pod, _: pod["securityContext"].update(sysctls=[{"name": "kernel.msgmax", "value": "1"}])),
    ("running as non-root", lambda pod, _: pod["securityContext"].pop("runAsNonRoot")),
    ("running as non-root", lambda _, one: one["securityContext"].update(runAsNonRoot=False)),
    ("running as non-root user", lambda pod, _: pod["securityContext"].update(runAsUser=0)),
    ("running as non-root user", lambda _, one: one["securityContext"].update(runAsUser=0)),
    ("seccomp", lambda pod, _: pod["securityContext"].pop("seccompProfile")),
    ("seccomp", lambda pod, _: pod["securityContext"].update(seccompProfile={"type": "Unconfined"})),
    ("seccomp", lambda _, one: one["securityContext"].update(seccompProfile={"type": "Unconfined"})),
    ("AppArmor", lambda _, one: one["securityContext"].update(appArmorProfile={"type": "Unconfined"})),
    ("SELinux", lambda pod, _: pod["securityContext"].update(seLinuxOptions={"type": "spc_t"})),
    ("SELinux", lambda _, one: one["securityContext"].update(seLinuxOptions={"role": "sysadm_r"})),
    ("privileged containers", lambda _, one: one["securityContext"].update(privileged=True)),
    ("privilege escalation", lambda _, one: one["securityContext"].pop("allowPrivilegeEscalation")),
    ("capabilities", lambda _, one: one["securityContext"].pop("capabilities")),
    ("capabilities", lambda _, one: one["securityContext"]["capabilities"].update(add=["SYS_ADMIN"])),
    ("host ports", lambda _, one: one.update(ports=[{"containerPort": 8000, "hostPort": 8000}])),
    ("/proc mount type", lambda _, one: one["securityContext"].update(procMount="Unmasked")),
    ("host probes", lambda _, one: one.update(livenessProbe={"httpGet": {"host": "10.0.0.1", "port": 80}})),
    ("host probes", lambda _, one: one.update(lifecycle={"preStop": {"tcpSocket": {"host": "a", "port": 1}}})),
    ("host process", lambda _, one: one["securityContext"].update(windowsOptions={"hostProcess": True})),
]


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_every_pod_may_run_in_a_restricted_namespace(name: str) -> None:
    pods = list(rendered(name).pods())
    assert sorted(pod.name for pod in pods) == ["diabetes-risk-model", "minio", "storage"]
    for pod in pods:
        assert violations(pod.template) == [], pod.name


@pytest.mark.parametrize("pod_name", ["diabetes-risk-model", "minio", "storage"])
@pytest.mark.parametrize(("rule", "change"), BREAKS)
def test_each_rule_refuses_a_pod_that_breaks_it(rule: str, change: Break, pod_name: str) -> None:
    pod = rendered("base").pod(pod_name)
    for container in pod.template["spec"]["containers"]:
        change(pod.template["spec"], container)
    found = violations(pod.template)
    assert found
    assert all(violation.startswith(rule) for violation in found), found


def test_an_init_container_is_held_to_the_same_rules() -> None:
    pod = rendered("base").pod("storage")
    pod.template["spec"]["initContainers"][0]["securityContext"]["privileged"] = True
    assert violations(pod.template) == ["privileged containers: prepare"]


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_the_cluster_is_told_to_enforce_it_where_the_pods_are(name: str) -> None:
    objects = rendered(name)
    labels = objects.find("Namespace", "model-services")["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert (labels[f"{PREFIX}/{mode}"], labels[f"{PREFIX}/{mode}-version"]) == ("restricted", "latest")
    for item in objects:
        if item["kind"] != "Namespace":
            assert item["metadata"]["namespace"] == "model-services", item["metadata"]["name"]


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_no_container_can_write_to_its_root_or_talk_to_the_cluster(name: str) -> None:
    objects = rendered(name)
    for pod in objects.pods():
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["enableServiceLinks"] is False
        assert pod.spec["serviceAccountName"] == pod.name
        assert objects.find("ServiceAccount", pod.name)["automountServiceAccountToken"] is False
        assert pod.spec["securityContext"]["runAsUser"] > 10_000
        for container in pod.containers:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}

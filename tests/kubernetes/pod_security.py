"""The rules of the Pod Security Standards' profile `restricted`, with those of `baseline` that it includes.

After https://kubernetes.io/docs/concepts/security/pod-security-standards/. Pods for Windows are not covered.
"""

from collections.abc import Iterator
from typing import Any

_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_HOST_NAMESPACES = ("hostNetwork", "hostPID", "hostIPC")
_SECCOMP = ("RuntimeDefault", "Localhost")
_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
_SELINUX_TYPES = (None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
Spec = dict[str, Any]


def violations(template: Spec) -> list[str]:
    """Return what keeps a pod template out of a restricted namespace, as `rule: where`; nothing where it may run."""
    return [*_of_the_pod(template), *_of_its_containers(template["spec"])]


def _of_the_pod(template: Spec) -> Iterator[str]:
    spec = template["spec"]
    context = spec.get("securityContext", {})
    for name in _HOST_NAMESPACES:
        if spec.get(name):
            yield f"host namespaces: {name}"
    for volume in spec.get("volumes", []):
        for kind in set(volume) - {"name"} - _VOLUMES:
            yield f"volume types: {volume['name']} is a {kind}"
    for sysctl in context.get("sysctls", []):
        if sysctl["name"] not in _SYSCTLS:
            yield f"sysctls: {sysctl['name']}"
    for name, value in template.get("metadata", {}).get("annotations", {}).items():
        if name.startswith("container.apparmor.security.beta.kubernetes.io/") and not (
            value == "runtime/default" or value.startswith("localhost/")
        ):
            yield f"AppArmor: {value}"
    yield from _of_a_context("the pod", context)


def _of_its_containers(spec: Spec) -> Iterator[str]:
    pod = spec.get("securityContext", {})
    for container in (one for kind in _CONTAINERS for one in spec.get(kind, [])):
        name, context = container["name"], container.get("securityContext", {})
        capabilities = context.get("capabilities", {})
        if context.get("privileged"):
            yield f"privileged containers: {name}"
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"privilege escalation: {name}"
        if context.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
            yield f"running as non-root: {name}"
        if context.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in _SECCOMP:
            yield f"seccomp: {name}"
        if "ALL" not in capabilities.get("drop", []):
            yield f"capabilities: {name} keeps some"
        for capability in set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"capabilities: {name} adds {capability}"
        for port in container.get("ports", []):
            if port.get("hostPort"):
                yield f"host ports: {name} takes {port['hostPort']}"
        if context.get("procMount", "Default") != "Default":
            yield f"/proc mount type: {name}"
        for hook in (*container.get("lifecycle", {}).values(), *_probes(container)):
            for kind in ("httpGet", "tcpSocket"):
                if hook.get(kind, {}).get("host"):
                    yield f"host probes: {name}"
        yield from _of_a_context(name, context)


def _of_a_context(where: str, context: Spec) -> Iterator[str]:
    """What is refused in the pod's security context and in those of its containers alike."""
    if context.get("runAsUser") == 0:
        yield f"running as non-root user: {where}"
    if context.get("runAsNonRoot") is False:
        yield f"running as non-root: {where}"
    if context.get("seccompProfile", {}).get("type", _SECCOMP[0]) not in _SECCOMP:
        yield f"seccomp: {where}"
    if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in ("RuntimeDefault", "Localhost"):
        yield f"AppArmor: {where}"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield f"host process: {where}"
    options = context.get("seLinuxOptions", {})
    if options.get("type") not in _SELINUX_TYPES or options.get("user") or options.get("role"):
        yield f"SELinux: {where}"


def _probes(container: Spec) -> Iterator[Spec]:
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        yield container.get(name, {})

"""Who may talk to whom, by the NetworkPolicies: the sender must be let out, and let in at the receiver."""

import ipaddress
from dataclasses import dataclass, field

from tests.kubernetes.manifests import NAMESPACE, Manifest, Manifests, selects


@dataclass(frozen=True)
class Peer:
    """A pod, or with an address and no namespace something outside of the cluster."""

    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    namespace_labels: dict[str, str] = field(default_factory=dict)
    address: str = ""


def pod(name: str, namespace: str = NAMESPACE, objects: Manifests | None = None) -> Peer:
    """Return a pod of ours. Its namespace has the labels that its object among these gives it, and its name."""
    found = [item for item in objects or [] if (item["kind"], item["metadata"]["name"]) == ("Namespace", namespace)]
    labels = dict(found[0]["metadata"]["labels"]) if found else {}
    return Peer(namespace, {"app.kubernetes.io/name": name}, labels | {"kubernetes.io/metadata.name": namespace})


def open_network(namespace: str) -> Manifest:
    """Return a policy that lets every pod of a namespace talk to everybody: policies add up, and none takes away."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "open", "namespace": namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]},
    }


def allowed(objects: Manifests, sender: Peer, receiver: Peer, port: int, protocol: str = "TCP") -> bool:
    """Return whether a connection is allowed. Where no policy selects a pod, everything is, as in Kubernetes."""
    policies = [item for item in objects if item["kind"] == "NetworkPolicy"]
    return _may(policies, "Egress", sender, receiver, port, protocol) and _may(
        policies, "Ingress", receiver, sender, port, protocol
    )


def _may(policies: list[Manifest], direction: str, own: Peer, other: Peer, port: int, protocol: str) -> bool:
    applying = [
        policy["spec"]
        for policy in policies
        if own.namespace == policy["metadata"]["namespace"]
        and direction in policy["spec"]["policyTypes"]
        and selects(policy["spec"]["podSelector"], own.labels)
    ]
    side = "to" if direction == "Egress" else "from"
    rules = [rule for spec in applying for rule in spec.get(direction.lower(), [])]
    return not applying or any(
        _matches_port(rule, port, protocol) and _matches_peer(rule.get(side, []), own.namespace, other)
        for rule in rules
    )


def _matches_port(rule: Manifest, port: int, protocol: str) -> bool:
    return not rule.get("ports") or any(
        (one.get("protocol", "TCP"), one.get("port", port)) == (protocol, port) for one in rule["ports"]
    )


def _matches_peer(sources: list[Manifest], namespace: str, other: Peer) -> bool:
    return not sources or any(_matches(source, namespace, other) for source in sources)


def _matches(source: Manifest, namespace: str, other: Peer) -> bool:
    if "ipBlock" in source:
        block = ipaddress.ip_network(source["ipBlock"]["cidr"])
        return bool(other.address) and ipaddress.ip_address(other.address) in block
    if other.address:
        return False
    if "namespaceSelector" in source:
        fits = selects(source["namespaceSelector"], other.namespace_labels)
    else:
        fits = other.namespace == namespace
    return fits and selects(source.get("podSelector", {}), other.labels)

"""Which connection is allowed: the whole table, of every pod with every other, and with what is outside."""

import ipaddress

import pytest

from tests.kubernetes.manifests import KUSTOMIZATIONS, rendered
from tests.kubernetes.reachability import Peer, allowed, pod

KUBE_SYSTEM = {"kubernetes.io/metadata.name": "kube-system"}

PEERS = {
    "service": pod("diabetes-risk-model"),
    "storage": pod("minio"),
    "job": pod("storage"),
    "neighbour": pod("something-else"),
    "client": Peer("shop", {"app": "shop"}, {"model-services/clients": "true"}),
    "stranger": Peer("elsewhere", {"app.kubernetes.io/name": "diabetes-risk-model"}, {}),
    "names": Peer("kube-system", {"k8s-app": "kube-dns"}, KUBE_SYSTEM),
    "names on the node": Peer("kube-system", {"k8s-app": "node-local-dns"}, KUBE_SYSTEM),
    "metrics": Peer("kube-system", {"k8s-app": "metrics-server"}, KUBE_SYSTEM),
    "false names": Peer("elsewhere", {"k8s-app": "kube-dns"}, {"kubernetes.io/metadata.name": "elsewhere"}),
    "internet": Peer(address="198.51.100.7"),
    "cloud metadata": Peer(address="169.254.169.254"),
}
OURS = ("service", "storage", "job", "neighbour")
PORTS = [("TCP", 8000), ("TCP", 9000), ("TCP", 53), ("UDP", 53), ("TCP", 80), ("TCP", 443), ("TCP", 9001)]

TABLE = {
    *(
        (sender, names, protocol, 53)
        for sender in ("service", "job")
        for names in ("names", "names on the node")
        for protocol in ("TCP", "UDP")
    ),
    ("service", "storage", "TCP", 9000),
    ("job", "storage", "TCP", 9000),
    ("client", "service", "TCP", 8000),
}
EXPECTED = {"base": TABLE, "minikube": TABLE, "gke": TABLE | {("office", "service", "TCP", 8000)}}


def office() -> Peer:
    """Return an address of those that the overlay for GKE lets in."""
    ranges = rendered("gke").find("Service", "diabetes-risk-model")["spec"]["loadBalancerSourceRanges"]
    return Peer(address=str(ipaddress.ip_network(ranges[0]).network_address))


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_only_these_connections_are_allowed(name: str) -> None:
    objects, peers = rendered(name), {**PEERS, "office": office()}
    found = {
        (sender, receiver, protocol, port)
        for sender in peers
        for receiver in peers
        if sender in OURS or receiver in OURS
        for protocol, port in PORTS
        if allowed(objects, peers[sender], peers[receiver], port, protocol)
    }
    assert found == EXPECTED[name]


def test_without_the_policy_that_denies_everything_more_is_allowed() -> None:
    objects = rendered("base")
    objects.remove(objects.find("NetworkPolicy", "deny-all"))
    assert allowed(objects, PEERS["neighbour"], PEERS["internet"], 443)
    assert allowed(objects, PEERS["storage"], PEERS["internet"], 443)


def test_the_ports_are_those_of_the_containers() -> None:
    objects = rendered("base")
    for name, policy in (("diabetes-risk-model", "clients"), ("minio", "storage")):
        (rule,) = objects.find("NetworkPolicy", policy)["spec"]["ingress"]
        ports = [port["containerPort"] for one in objects.pod(name).containers for port in one.get("ports", [])]
        assert [port["port"] for port in rule["ports"]] == ports

"""The cluster's own network.

What is sent to an address that nobody has goes nowhere; what is sent to a service arrives.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
from collections.abc import Iterator

import pytest

import cluster

pytestmark = pytest.mark.e2e


def pod(name: str, *, of_node: bool = False) -> cluster.Object:
    """Does nothing; has bash, like everything made from debian:bookworm-slim."""
    image = next(
        line.split("=")[1]
        for line in (cluster.ROOT / ".cluster/images.env").read_text().splitlines()
        if line.startswith("PLAYER_IMAGE")
    )
    container = {"name": "idle", "image": image, "command": ["sleep", "600"]}
    spec = {"containers": [container], "hostNetwork": of_node, "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """A namespace with a pod, one on the node's own network, and one that is about to go."""
    cluster.guard()
    name = f"test-{secrets.token_hex(3)}"
    cluster.kubectl("create", "namespace", name)
    try:
        cluster.apply([pod("pod"), pod("node", of_node=True), pod("gone")], name)
        pods = ("pod/pod", "pod/node", "pod/gone")
        ready = ("--for=condition=Ready", "--timeout=60s")
        cluster.kubectl("wait", "-n", name, *ready, *pods, timeout=70)
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def nobodys(namespace: str) -> dict[str, str]:
    """Addresses without anybody: of a pod that is dead, of a service that was never made."""
    gone = cluster.get("pod", "gone", namespace)
    assert gone
    cluster.kubectl("delete", "pod", "gone", "-n", namespace, "--timeout=30s")

    cidr = json.loads(cluster.kubectl("get", "servicecidr", "kubernetes", "-o", "json"))
    services = ipaddress.ip_network(cidr["spec"]["cidrs"][0])
    return {"a dead pod": gone["status"]["podIP"], "no service": str(services[-2])}


def connect(namespace: str, source: str, address: str, port: int) -> str:
    """What bash says of a connection from this pod; nothing if there is one."""
    script = f"exec 3<>/dev/tcp/{address}/{port}"
    try:
        return cluster.kubectl(
            "exec", "-n", namespace, source, "--", "timeout", "10", "bash", "-c", script
        )
    except cluster.KubectlError as error:
        return str(error)


# the node first: it may have to try again, and hears the outcome at once, while pods hear by ICMP,
# which is limited to a few messages a second
@pytest.mark.parametrize("source", ["node", "pod"])
@pytest.mark.parametrize("whose", ["a dead pod", "no service"])
def test_an_address_that_nobody_has_is_unreachable(
    namespace: str, nobodys: dict[str, str], source: str, whose: str
) -> None:
    # a pod is gone from the API before its network is
    cluster.wait(
        lambda: "No route to host" in connect(namespace, source, nobodys[whose], 443),
        30,
        f"{nobodys[whose]} is unreachable",
    )


@pytest.mark.parametrize("source", ["pod", "node"])
def test_a_service_is_reached(namespace: str, source: str) -> None:
    address = cluster.kubectl(
        "get", "service", "kubernetes", "-n", "default", "-o", "jsonpath={.spec.clusterIP}"
    )
    assert connect(namespace, source, address, 443) == ""

"""The number of NATS nodes grows where that keeps every event; where not, it is refused."""

from __future__ import annotations

import pytest

from tests.deploy.cluster.kube import SMALL, Namespace, asked
from tests.deploy.cluster.purchases import each_ends_once, go_on, purchases

THREE = (*SMALL, "nats.nodes=3")
FIVE = (*SMALL, "nats.nodes=5")


def test_a_single_node_is_not_made_one_of_several(small: Namespace) -> None:
    """nats-server would remove every stream half a minute after the node is one of several."""
    refused = small.try_release("upgrade", *THREE)
    assert refused.returncode == 1
    assert "nats.nodes is 3, but the volumes are those of 1" in refused.stderr
    small.helm("uninstall", "shop", "--wait")
    refused = small.try_release("install", *THREE)
    assert "the volumes are those of 1" in refused.stderr, "volumes stay, and so does the danger"
    small.release("install", *SMALL)


@pytest.mark.long
def test_three_nodes_become_five_under_load(empty: Namespace) -> None:
    empty.release("install", *THREE)
    with purchases(empty, "grown") as published:
        go_on()
        empty.release("upgrade", *FIVE)
        go_on()
    assert empty.ready("nats") == 5
    each_ends_once(empty, "grown", published)
    assert asked(empty, "STREAM.INFO.ORDERS")["config"]["num_replicas"] == 3
    refused = empty.try_release("upgrade", *THREE)
    assert "nats.nodes is 3, but the volumes are those of 5" in refused.stderr

"""A namespace of the cluster that KUBECONFIG names, and a release of the chart in it.

`make test-cluster` sets JETMESH_TEST_CLUSTER; without it nothing in here is collected.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.deploy.cluster.kube import SMALL, Namespace

_SECONDS = 1200
"""A test may have to install everything first, and to wait for each rollout."""


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.timeout(_SECONDS))


@contextmanager
def namespace() -> Iterator[Namespace]:
    """A new one for the block, with Pod Security `restricted` enforced."""
    made = Namespace(f"jetmesh-{uuid.uuid4().hex[:8]}")
    made.kubectl("create", "namespace", made.name)
    try:
        level = "pod-security.kubernetes.io/enforce=restricted"
        made.kubectl("label", "namespace", made.name, level)
        yield made
    finally:
        # what is thrown away needs no farewell
        made.run("kubectl", "delete", "deployments,statefulsets,jobs", "--all", "--wait=false")
        made.run("kubectl", "delete", "pods", "--all", "--force", "--grace-period=0")
        made.run("kubectl", "delete", "namespace", made.name, "--wait=false")


@pytest.fixture(scope="session")
def shop() -> Iterator[Namespace]:
    """The chart as it is: three NATS nodes, two pods of every service, the sandboxes.

    Only the last files ask for it (test_whole_…): a small machine has no room for another beside.
    """
    with namespace() as made:
        made.release("install")
        yield made


@pytest.fixture
def empty() -> Iterator[Namespace]:
    """A namespace with nothing in it."""
    with namespace() as made:
        yield made


@pytest.fixture(scope="module")
def small() -> Iterator[Namespace]:
    """A release that fits beside another one: one node, one pod of every service."""
    with namespace() as made:
        made.release("install", *SMALL)
        yield made

"""What a node drain may take: some pods of each revision, and always one."""

from typing import Any

from sluice_operator.api import names

from .world import World, make_spec


def of_models(world: World, kind: str) -> dict[str, Any]:
    """Manifests of a kind by revision."""
    found = (manifest for manifest in world.of_kind(kind) if names.REVISION in manifest["metadata"]["labels"])
    return {manifest["metadata"]["labels"][names.REVISION]: manifest for manifest in found}


def test_every_revision_has_a_budget_of_its_own_over_exactly_its_pods() -> None:
    world = World(make_spec()).settle().ask_version(2)
    world.ready[world.think().status.canary.revision] = False  # type: ignore[union-attr]
    world.settle()
    budgets, deployments = of_models(world, "PodDisruptionBudget"), of_models(world, "Deployment")
    assert len(budgets) == 2
    for revision, budget in budgets.items():
        assert budget["spec"]["selector"] == deployments[revision]["spec"]["selector"]


def test_a_single_pod_and_one_that_serves_nothing_hold_no_node_back() -> None:
    (budget,) = of_models(World(make_spec()).settle(), "PodDisruptionBudget").values()
    # Kubernetes rounds up what may be unavailable.
    assert budget["spec"]["maxUnavailable"] == "10%"
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"

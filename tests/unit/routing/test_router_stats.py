"""What a router says of a revision, over both protocols."""

import pytest

from sluice_operator.cluster.router_stats import parse

REVISION = "0123456789"


def text(*lines: str) -> str:
    return "\n".join(["server.uptime: 5", *(f"cluster.{REVISION}{line}" for line in lines)])


def test_requests_and_errors_of_both_protocols_are_added_up() -> None:
    stats = parse(
        text(
            *(".upstream_rq_completed: 100", ".upstream_rq_5xx: 3"),
            *("-grpc.upstream_rq_completed: 50", "-grpc.upstream_rq_5xx: 7"),
            *("-grpc.grpc.0: 40", "-grpc.grpc.3: 2", "-grpc.grpc.13: 4", "-grpc.grpc.14: 3", "-grpc.grpc.4: 1"),
        )
    )
    assert stats.answers() == {REVISION: {"upstream_rq_completed": 150, "upstream_rq_5xx": 3 + 4 + 3 + 1}}


def test_a_member_has_to_be_one_for_both_protocols() -> None:
    assert parse(text(".membership_healthy: 2", "-grpc.membership_healthy: 1")).healthy([REVISION]) == {REVISION: 1}
    assert parse(text("-grpc.membership_healthy: 0", ".membership_healthy: 2")).healthy([REVISION]) == {REVISION: 0}
    assert parse(text(".membership_healthy: 2")).healthy([REVISION]) == {REVISION: 2}


@pytest.mark.parametrize(("listeners", "rejected", "refused"), [("b", 0, False), ("b", 1, True), ("a", 1, False)])
def test_what_a_router_refused_counts_while_it_goes_on_as_before(
    listeners: str, rejected: int, *, refused: bool
) -> None:
    files = {"cluster_manager.cds": "a", "listener_manager.lds": listeners, "http.endpoint.rds.endpoint": "a"}
    lines = [f'{name}.version_text: "{version}"' for name, version in files.items()]
    stats = parse("\n".join(["server.uptime: 5", *lines, f"listener_manager.lds.update_rejected: {rejected}"]))
    assert (stats.refused, stats.version) == (refused, "a" if listeners == "a" else None)

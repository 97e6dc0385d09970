"""What runs beside what when tests run in two processes (`make test`): half of them wait for a cluster, half compute.

What is dear to start, and there once, belongs to the tests of one unit of work: the cluster, an API server, runtimes.
Units are begun in the order of UNITS, the longest first; a file that is in none of them is a unit of its own.
"""

from xdist.scheduler import LoadScopeScheduling

UNITS = (
    ("the cluster", ("tests/e2e/",)),
    ("an API server", ("tests/controlplane/", "tests/chart/", "tests/router/test_access_authorizer.py")),
    ("runtimes", ("tests/runtime/",)),
)


def unit_of(test: str) -> str:
    """The unit of work of a test, by its node id: one process runs all of it, in order."""
    file = test.partition("::")[0]
    return next((name for name, paths in UNITS if file.startswith(paths)), file)


def place(test: str) -> int:
    """When a test is begun, by its node id: those of a unit that takes long are not what is left at the end."""
    names = [name for name, _ in UNITS]
    unit = unit_of(test)
    return names.index(unit) if unit in names else len(names)


class Lanes(LoadScopeScheduling):  # type: ignore[misc]  # published without types
    """Each process gets the next unit when it is about to be idle."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)

"""One rendering with the values as they come."""

import pytest

from chart.rendered import Object, render_objects


@pytest.fixture(scope="module")
def defaults() -> list[Object]:
    return render_objects()

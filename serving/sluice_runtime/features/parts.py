"""What goes into one call of the store: keys that gathered, or, where it refused them together, a part of them."""

from __future__ import annotations

from dataclasses import dataclass

from sluice_runtime.features.lines import Entry


@dataclass(slots=True)
class Trial:
    """What came of a call. `parts`: into how many more it is divided; `since`: when one of them was last asked for."""

    parts: int
    since: float
    fruitful: bool = False

    def brought(self) -> None:
        """One part was answered. A key at fault costs two parts for each time that they are halved; one brings this."""
        self.fruitful = True
        self.parts += 2

    def divides(self) -> bool:
        """Whether a refused part is divided."""
        self.parts -= 2
        return self.parts >= 0


@dataclass(slots=True, eq=False)
class Part:
    """Of a call that was refused, or a whole one."""

    entries: list[Entry]
    trial: Trial

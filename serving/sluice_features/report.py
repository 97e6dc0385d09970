"""What became of each view: for people in lines, for programs as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from sluice.failures import Reason


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Violation(_Told):
    """A rule that does not hold. `rows` of `of` break it; `examples`: some of them."""

    view: str
    column: str
    rule: str
    message: str
    rows: int | None = None
    of: int | None = None
    examples: list[str] = Field(default_factory=list)

    def __str__(self) -> str:
        counts = "" if self.rows is None else f" ({self.rows} of {self.of} rows)"
        such = f", such as {'; '.join(self.examples)}" if self.examples else ""
        where = f"{self.view}.{self.column}" if self.column else self.view
        return f"{where}: {self.message} [{self.rule}]{counts}{such}"


class ViewReport(_Told):
    """One view. `rows`: read; `entities`: keys among them; `written`: rows that the store has taken; `doubtful`: rows
    of writes that failed, of which the store may have taken some.
    """

    view: str
    source: str
    rows: int = 0
    entities: int = 0
    written: int = 0
    doubtful: int = 0
    newest: datetime | None = None
    violations: list[Violation] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    def __str__(self) -> str:
        newest = "" if self.newest is None else f", the newest of {self.newest:%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.view}: {self.rows} rows of {self.entities} keys{newest}"


class Report(_Told):
    """A run. Checked: nothing was to be written; Refused: the data broke a rule, and nothing was written; Failed: it
    ended before its end, and `message` says how far it came.
    """

    version: Literal[1] = 1
    result: Literal["Checked", "Written", "Refused", "Failed"] = "Checked"
    reason: Reason | None = None
    message: str = ""
    at: datetime
    views: list[ViewReport] = Field(default_factory=list)

    @property
    def violations(self) -> list[Violation]:
        """Of all views."""
        return [violation for view in self.views for violation in view.violations]

    @property
    def written(self) -> int:
        """Rows, of all views."""
        return sum(view.written for view in self.views)

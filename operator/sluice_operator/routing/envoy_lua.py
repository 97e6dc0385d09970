"""Scripts of the filters: the files beside this one, put together."""

from pathlib import Path
from typing import Any

from sluice_operator.routing.envoy_proto import Json

_HERE = Path(__file__).parent


def lua(*files: str, **settings: Any) -> tuple[str, Json]:
    """The files as one script, with `settings` as its `filterContext`: a filter's type, and its configuration."""
    code = "\n".join((_HERE / file).read_text() for file in files)
    return "lua.v3.Lua", {"default_source_code": {"inline_string": code}, "filter_context": settings}

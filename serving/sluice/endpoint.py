"""A model that answers somewhere: asking it what it takes, and asking it for a prediction."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import httpx

from sluice.manifest import TensorSpec
from sluice.requests import Request

PATIENCE_SECONDS = 60.0

_FORM = tuple(TensorSpec.model_fields)
"""What every input says of itself; a server may say more."""


class EndpointError(Exception):
    """The endpoint did not answer, or refused; the message holds its own words."""


class Endpoint:
    """One model behind a URL: the server's address, or the model's own (.../v2/models/NAME)."""

    def __init__(self, url: str, model: str | None = None) -> None:
        base, _, path = url.rstrip("/").partition("/v2")
        named = path.split("/")[2] if path.startswith("/models/") else None
        self._client = httpx.Client(base_url=base, timeout=PATIENCE_SECONDS)
        self._path = f"/v2/models/{model or named or self._only_model()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def inputs(self) -> tuple[list[TensorSpec], set[str]]:
        """What requests may carry, and the names of what they may leave out.

        Raises:
            EndpointError: it cannot be asked.
        """
        inputs = self._ask("GET", self._path)["inputs"]
        optional = {item["name"] for item in inputs if item.get("parameters", {}).get("optional")}
        return [TensorSpec.model_validate({key: item[key] for key in _FORM}) for item in inputs], optional

    def infer(self, request: Request) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            EndpointError: it was refused.
        """
        answer: dict[str, Any] = self._ask("POST", f"{self._path}/infer", request)
        return answer

    def _only_model(self) -> str:
        names = sorted({entry["name"] for entry in self._ask("POST", "/v2/repository/index", {})})
        if len(names) != 1:
            raise EndpointError(f"name the model with --model: the server has {', '.join(names) or 'none'}")
        return str(names[0])

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise EndpointError(f"{self._client.base_url}: {error}") from error
        try:
            content = answer.json()
        except ValueError as error:
            raise EndpointError(f"{answer.url} answers {answer.status_code} and no JSON; is it a model?") from error
        if answer.is_error:
            words = content.get("error", content) if isinstance(content, dict) else content
            raise EndpointError(f"{answer.url} answers {answer.status_code}: {words}")
        return content

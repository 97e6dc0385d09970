"""What a person asks of a rollout that no spec can say: promote, abort, retry, rollback, pause, resume.

A request is an annotation, because that is what every tool can set and GitOps tools leave alone: what is in Git stays
the desired state, and a request changes only how the operator gets there. It carries an id, is handled exactly once and
is answered in `status.requests`; what becomes of the annotation afterwards is of no consequence.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, ValidationError

from sluice_operator.api.base import ApiModel

REQUEST = "sluice.dev/request"


class Action(StrEnum):
    """What can be asked for."""

    promote = "promote"
    abort = "abort"
    retry = "retry"
    rollback = "rollback"
    pause = "pause"
    resume = "resume"


class Request(ApiModel):
    """One request. It is refused where `revision` is not (any more) the one that it would act on; for a rollback,
    `revision` is the one to go back to.
    """

    id: Annotated[str, Field(min_length=1, max_length=128)]
    action: Action
    revision: Annotated[str, Field(max_length=64)] = ""
    full: bool = False
    by: Annotated[str, Field(max_length=253)] = ""


def parse(text: str) -> Request:
    """The request that an annotation holds; raises ValueError with a sentence for a person."""
    try:
        request = Request.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, f['loc'])) or 'annotation'}: {f['msg']}" for f in error.errors())
        raise ValueError(f"the annotation {REQUEST} is no request: {faults}") from error
    if request.full and request.action is not Action.promote:
        raise ValueError(f"full belongs to promote, not to {request.action}")
    return request

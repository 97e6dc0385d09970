"""`spec.features`: the feature store that model pods ask, and the job that fills it.

What pods ask shapes them: a change makes a new revision. `materialization` does not: it is a CronJob of its own.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field, WithJsonSchema

from sluice.contract import Value
from sluice_operator.api.base import ApiModel, rules
from sluice_operator.api.runtime import Resources, pod_template_schema
from sluice_operator.api.scalars import Age, Duration, ObjectName, SecretRef

# What a store knows and what a request carries are named by others: any text on one line.
_Name = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f]+$")]
_Column = Annotated[int, Field(ge=0, le=65535)]
# A scalar of any type: structural schemas have no word for it. What is inside a list or object is refused below it.
_Scalar = Annotated[
    Value, WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True, "maxItems": 0, "maxProperties": 0})
]


def _by(key: str) -> dict[str, Any]:
    """A list whose items are told apart by one field."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


class OnTrouble(StrEnum):
    """What becomes of a request whose features cannot be had."""

    fail = "Fail"
    default = "Default"


class StoreCredentials(ApiModel):
    """What the feature store wants to see."""

    secret_ref: SecretRef = Field(
        description="Secret with `token` (a bearer token), `ca.crt` (the CA that signed the store's certificate) or "
        "both. The process that serves the model sees it, and takes new contents without a restart."
    )


class FeatureStore(ApiModel):
    """Where the feature store is."""

    url: Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$", max_length=2048)] = Field(
        description="Address of a Feast feature server: http://feast.shop.svc:6566."
    )
    credentials: StoreCredentials | None = Field(
        default=None, description="What it wants to see. Without it, it is asked by everybody alike."
    )


class EntityType(StrEnum):
    """Datatypes of keys, as the Open Inference Protocol names them."""

    text = "BYTES"
    int8, int16, int32, int64 = "INT8", "INT16", "INT32", "INT64"
    uint8, uint16, uint32, uint64 = "UINT8", "UINT16", "UINT32", "UINT64"


class Entity(ApiModel):
    """A key under which the store knows features."""

    name: _Name = Field(description="Its name in the store.")
    input: _Name | None = Field(
        default=None, description="The input of requests that carries it. none: the one that is called as the key is."
    )
    datatype: EntityType = Field(default=EntityType.int64, description="Its datatype in requests, one value a row.")


class FeatureInput(ApiModel):
    """A feature, and where it goes in the model's inputs."""

    feature: _Name = Field(description="Its name in the store's service.")
    input: _Name | None = Field(
        default=None, description="The model's input that it fills. none: the one that is called as the feature is."
    )
    column: _Column | None = Field(
        default=None, description="The column of that input, from 0, where it has several. none: all of it."
    )
    default: _Scalar | None = Field(
        default=None, description="The value used where onMissing or onOutage say Default: a number, text or a truth."
    )
    max_age: Age | None = Field(
        default=None, description="A value that is older counts as missing: 90m, 7d. none: of any age."
    )
    request_wins: bool = Field(
        default=False,
        description="Whether a request may carry the value itself, in place of the store's. Otherwise one that does is "
        "refused.",
    )


class FeatureCache(ApiModel):
    """Answers of the store that are used again."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.maxAge) || (duration(self.maxAge) > duration('0s') && "
                "duration(self.maxAge) <= duration('1h'))",
                "cache.maxAge is more than 0s and at most 1h; leave cache out for none",
            ),
        )
    )

    max_age: Duration = Field(
        default="5s", description="How long after the store gave an answer it is used again: values are that stale."
    )
    entries: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        default=10_000, description="Most entities a pod remembers; those used longest ago are forgotten first."
    )


class ConfigMapKey(ApiModel):
    """A key of a ConfigMap in the ModelDeployment's namespace."""

    name: ObjectName = Field(description="Name of the ConfigMap.")
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)] = Field(
        default="features.yaml", description="The key in it that holds the definitions."
    )


class Definitions(ApiModel):
    """Where features are defined."""

    config_map_ref: ConfigMapKey = Field(
        description="ConfigMap with a features.yaml, as `sluice features check` reads it. Each run reads it anew."
    )


class MaterializationCredentials(ApiModel):
    """What the warehouse wants to see."""

    secret_ref: SecretRef = Field(
        description="Secret whose keys become environment variables of the job: the names that features.yaml says its "
        "sources are found by. Model pods never see it."
    )


_ANY = r"(\*|\?)(/[1-9][0-9]*)?"


def _listed(one: str) -> str:
    """A field of a cron line whose values look like `one`."""
    part = f"({_ANY}|({one})(-({one}))?(/[1-9][0-9]*)?)"
    return f"{part}(,{part})*"


_MONTHS = "(?i:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)"
_DAYS = "(?i:SUN|MON|TUE|WED|THU|FRI|SAT)"
_FIELDS = ("[0-5]?[0-9]", "[01]?[0-9]|2[0-3]", "0?[1-9]|[12][0-9]|3[01]", f"0?[1-9]|1[0-2]|{_MONTHS}", f"[0-6]|{_DAYS}")
SCHEDULE_PATTERN = (
    "^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|@every ([0-9]+(s|m|h))+|"
    + " +".join(f"({_listed(field)})" for field in _FIELDS)
    + ")$"
)


class Materialization(ApiModel):
    """How the online store is filled."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.deadline) || duration(self.deadline) >= duration('1s')",
                "materialization.deadline is at least 1s",
            ),
            (
                "!has(self.startingDeadline) || duration(self.startingDeadline) >= duration('10s')",
                "materialization.startingDeadline is at least 10s: the cluster looks that often",
            ),
        )
    )

    schedule: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            json_schema_extra=rules(
                (
                    f"self.matches(r'{SCHEDULE_PATTERN}')",
                    "a schedule has five fields (minute, hour, day of the month, month, day of the week from 0, "
                    "Sunday, to 6), such as '30 4 * * *', or is @hourly, @daily, @weekly, @monthly or @every 30m; a "
                    "time zone belongs into timeZone",
                )
            ),
        ),
    ] = Field(description="When, as cron writes it: '30 4 * * *' is every day at 4:30.")
    time_zone: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$", max_length=64)] | None = Field(
        default=None, description="The zone that `schedule` speaks of, such as Europe/Amsterdam. none: UTC."
    )
    definitions: Definitions = Field(description="Where features are defined.")
    credentials: MaterializationCredentials | None = Field(
        default=None, description="What the warehouse wants to see. none: nothing."
    )
    views: Annotated[list[_Name], Field(min_length=1, max_length=256)] | None = Field(
        default=None,
        description="The views that are written. none: all that are defined.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    suspend: bool = Field(default=False, description="Whether no further run is begun. One under way goes on.")
    starting_deadline: Duration | None = Field(
        default=None,
        description="How much later than by its schedule a run may begin, because the one before it was not done or "
        "the cluster was away; after that it is left out. none: however late. Two runs never overlap by schedule.",
    )
    deadline: Duration = Field(
        default="1h",
        description="A run that takes longer, all of its tries together, is ended, and counts as failed; what it wrote "
        "stays.",
    )
    backoff_limit: Annotated[int, Field(ge=0, le=20)] = Field(
        default=3,
        description="How often a run is tried again, after 10 s, 20 s and so on, where what failed may pass: a source "
        "or the store does not answer, a pod is killed. Data that break a rule, and definitions that are wrong, end "
        "the run at once.",
    )
    successful_jobs_history_limit: Annotated[int, Field(ge=1, le=100)] = Field(
        default=1, description="How many runs that wrote everything are kept, with their logs."
    )
    failed_jobs_history_limit: Annotated[int, Field(ge=1, le=100)] = Field(
        default=1, description="How many runs that failed are kept, with their logs."
    )
    resources: Resources = Field(
        default=Resources(requests={"cpu": "100m", "memory": "256Mi"}, limits={"memory": "1Gi"}),
        description="Resources of the job's container.",
    )
    service_account_name: ObjectName | None = Field(
        default=None,
        description="ServiceAccount of this namespace that the job runs as, for the workload identity of a cloud. "
        "Whoever may write this field can use that identity. Sluice mounts no token of it.",
    )
    pod_template: dict[str, Any] = Field(
        default_factory=dict,
        description="A partial pod template merged into the job's pods, as that of `runtime` into the model's: env, "
        "envFrom and volumeMounts of the container `materialize`, volumes (a claim with the warehouse's file), "
        "nodeSelector, tolerations, affinity, initContainers. What would raise privileges, or keep a run from ending, "
        "is refused.",
        json_schema_extra=pod_template_schema("job's pods"),
    )


class Features(ApiModel):
    """The feature store: how it is asked, and how it is filled."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.service) == has(self.entities) && has(self.service) == has(self.inputs)",
                "service, entities and inputs stand in place of what the package says: set all three, or none",
            ),
            (
                "!has(self.timeout) || (duration(self.timeout) > duration('0s') && "
                "duration(self.timeout) <= duration('10s'))",
                "features.timeout is more than 0s and at most 10s: callers wait for it",
            ),
        )
    )

    store: FeatureStore = Field(description="The feature store.")
    service: _Name | None = Field(
        default=None,
        description="The store's feature service that is asked. none: what the package was trained with, as its "
        "model.yaml says; `entities` and `inputs` likewise.",
    )
    entities: Annotated[list[Entity], Field(min_length=1, max_length=16)] | None = Field(
        default=None, description="The keys that a request carries.", json_schema_extra=_by("name")
    )
    inputs: Annotated[list[FeatureInput], Field(min_length=1, max_length=1024)] | None = Field(
        default=None, description="Where each feature goes in the model's inputs.", json_schema_extra=_by("feature")
    )
    timeout: Duration = Field(
        default="100ms",
        description="How long a lookup may take; after that the store counts as away (onOutage). It is part of the "
        "request's own deadline.",
    )
    cache: FeatureCache | None = Field(
        default=None, description="Whether answers are used again for a short while. none: every request asks."
    )
    on_missing: OnTrouble = Field(
        default=OnTrouble.fail,
        description="Where the store has no value, or only one that is too old. Fail: the request is refused, naming "
        "the feature. Default: the feature's default is used, and the answer says so; a feature without one refuses.",
    )
    on_outage: OnTrouble = Field(
        default=OnTrouble.fail,
        description="Where the store does not answer in time. Fail: the request is refused with 503. Default: the "
        "defaults are used, and the answer says so; a feature without one refuses.",
    )
    materialization: Materialization | None = Field(
        default=None,
        description="Fills the store from a warehouse, on a schedule: a CronJob <name>-features, which checks the "
        "values and only then writes them. Its results are in status.features and in the condition FeaturesReady. Data "
        "that break a rule leave the store as it was; a run that fails while it writes leaves a part of it written, "
        "which the next one completes. Changing this field restarts nothing. none: somebody else fills the store.",
    )

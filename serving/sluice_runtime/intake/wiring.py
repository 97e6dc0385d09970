"""What a package and a pod's settings say of requests, made into the parts that take them in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sluice.config import RuntimeConfig
from sluice.failures import PackageError, Reason
from sluice.manifest import Manifest
from sluice_runtime.intake.intake import Intake, intake_of
from sluice_runtime.metrics import Metrics
from sluice_runtime.signature import Signature

if TYPE_CHECKING:
    from sluice_runtime.features.source import FeatureSource


def check_contract(config: RuntimeConfig, manifest: Manifest, signature: Signature) -> None:
    """Whether requests could be taken in as the package says, before anybody waits for its pod.

    Raises:
        PackageError: InvalidPackage.
    """
    references = (config.features and config.features.references) or manifest.features
    intake_of(manifest, signature, references, lambda *_: None)


def take_in(
    config: RuntimeConfig, manifest: Manifest, signature: Signature, metrics: Metrics, now: Callable[[], float]
) -> tuple[Intake | None, FeatureSource | None]:
    """The intake of a model, if its package asks for one, and its feature store, if the settings name one.

    To be called in the event loop in which requests are answered.

    Raises:
        PackageError: InvalidPackage, or InvalidConfig where there is a store and nothing to ask it for.
    """
    lookup = config.features
    if lookup is None:
        return intake_of(manifest, signature, None, metrics.violated, now), None
    references = lookup.references or manifest.features
    if references is None:
        message = "a feature store is set, but neither the settings nor model.yaml say which features to ask it for"
        raise PackageError(Reason.INVALID_CONFIG, message)
    intake = Intake(manifest, signature, references, metrics.violated, now)
    # What talks to stores takes its time to import, and most pods have none.
    from sluice_runtime.features.metrics import FeatureMetrics  # noqa: PLC0415
    from sluice_runtime.features.source import FeatureSource  # noqa: PLC0415

    datatypes = {feature.name: signature.inputs_by_name[feature.tensor].datatype for feature in references.features}
    counts = FeatureMetrics(config.name, config.revision)
    return intake, FeatureSource(lookup, references, datatypes, counts, nullable=intake.nullable(), now=now)

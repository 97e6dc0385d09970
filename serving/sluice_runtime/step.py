"""What every process of a model pod does around its work: read the settings, and say why it failed.

The kubelet shows a container's termination log to the operator, which turns it into a condition. So a failure that
leaves no word there would reach the user as a bare exit code.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from pydantic import ValidationError

from sluice.config import CONFIG_ENV, RuntimeConfig
from sluice.failures import Failure, PackageError, Reason, write_termination
from sluice.manifest import explain
from sluice_runtime.logs import frames_of, setup_logging

log = logging.getLogger(__name__)


def run_step(work: Callable[[RuntimeConfig], None]) -> int:
    """Run `work` with the pod's settings. Returns the exit code: 0, or 1 after a failure was written down."""
    try:
        config = read_config()
    except PackageError as error:
        setup_logging("info")
        return give_up(error, str(RuntimeConfig.model_fields["termination_log"].default))
    setup_logging(config.log_level)
    try:
        work(config)
    except PackageError as error:
        return give_up(error, config.termination_log)
    except Exception as error:
        # Its own words may quote what is in a Secret, and a termination log is read by more people than Secrets are.
        log.error("unexpected failure", extra={"fields": {"exception": frames_of(error)}})
        return give_up(unforeseen(error), config.termination_log)
    return 0


def read_config() -> RuntimeConfig:
    """Settings from the environment.

    Raises:
        PackageError: InvalidConfig.
    """
    try:
        return RuntimeConfig.from_env()
    except KeyError as error:
        raise PackageError(Reason.INVALID_CONFIG, f"the variable {CONFIG_ENV} is not set") from error
    except ValidationError as error:
        raise PackageError(Reason.INVALID_CONFIG, f"{CONFIG_ENV}: {explain(error)}") from error


def unforeseen(error: Exception) -> PackageError:
    """What is said of a failure that has no reason of its own: its kind, and none of its words."""
    return PackageError(Reason.INTERNAL, f"{type(error).__name__}; the container's log says where it came from")


def give_up(error: PackageError, termination_log: str) -> int:
    """Log a failure, leave it in the termination log, and return the exit code 1."""
    log.error("%s", error)
    write_termination(termination_log, Failure(reason=error.reason, message=error.message))
    return 1

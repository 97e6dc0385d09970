"""What can go wrong with features while they are made, told in one line that says what to change."""

from __future__ import annotations

from sluice.failures import Failure, Reason


class FeaturesError(Exception):
    """Features cannot be read, or cannot be written.

    `reason`: FeaturesInvalid (the definitions, or what they name, are at fault), FeaturesRefused (the data did not pass
    its checks, and nothing was written) or FeaturesUnavailable (a source or the store does not answer: try again).
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    @property
    def failure(self) -> Failure:
        """As a container's last word."""
        return Failure(reason=self.reason, message=self.message)


def invalid(message: str) -> FeaturesError:
    """Something has to be changed before it is tried again."""
    return FeaturesError(Reason.FEATURES_INVALID, message)


def unavailable(message: str) -> FeaturesError:
    """It may go better next time."""
    return FeaturesError(Reason.FEATURES_UNAVAILABLE, message)

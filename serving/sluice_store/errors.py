"""What can go wrong with a store while a person works with it, told in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import (
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
)

from sluice_store.objects import told_by

_REFUSED = re.compile(r"status code: 40[13]\b")
_FOR_GOOD = re.compile(r"status code: (?!408|409|425|429)[34]\d\d\b")
"""Whoever asks too often, or beside another, may ask again."""


class StoreError(Exception):
    """A store refused or failed. The message says what to change.

    `permanent`: it is known to fail the same way until that is changed.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


@contextmanager
def told(store: str) -> Iterator[None]:
    """Turn what the object stores' client raises into a StoreError.

    Raises:
        StoreError: always with the store's name, and with what to look at.
    """
    try:
        yield
    except NotSupportedError as error:
        raise StoreError(f"{store} cannot do this: {told_by(error)}", permanent=True) from error
    except FileNotFoundError as error:
        raise StoreError(f"{store} is not there; check its name and --endpoint", permanent=True) from error
    except BaseError as error:
        message = f"{store} {_what_to_do(error)}: {told_by(error)}"
        raise StoreError(message, permanent=_is_refused(error) or bool(_FOR_GOOD.search(told_by(error)))) from error


def _is_refused(error: BaseError) -> bool:
    # Listings are refused without the library's own word for it.
    return isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or bool(_REFUSED.search(str(error)))


def _what_to_do(error: BaseError) -> str:
    if _is_refused(error):
        return "refuses; check the credentials in the environment (AWS_*, AZURE_*, GOOGLE_*) and what they may do"
    return "failed; check its name, --endpoint and the network"

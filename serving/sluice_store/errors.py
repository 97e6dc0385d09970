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


class StoreError(Exception):
    """A store refused or failed. The message says what to change."""


@contextmanager
def told(store: str) -> Iterator[None]:
    """Turn what the object stores' client raises into a StoreError.

    Raises:
        StoreError: always with the store's name, and with what to look at.
    """
    try:
        yield
    except NotSupportedError as error:
        raise StoreError(f"{store} cannot do this: {told_by(error)}") from error
    except FileNotFoundError as error:
        raise StoreError(f"{store} is not there; check its name and --endpoint") from error
    except BaseError as error:
        raise StoreError(f"{store} {_what_to_do(error)}: {told_by(error)}") from error


def _what_to_do(error: BaseError) -> str:
    # Listings are refused without the library's own word for it.
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or _REFUSED.search(str(error)):
        return "refuses; check the credentials in the environment (AWS_*, AZURE_*, GOOGLE_*) and what they may do"
    return "failed; check its name, --endpoint and the network"

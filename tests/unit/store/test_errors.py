"""What a store's client raises is told in one line, and whether it is worth trying again."""

import pytest
from obstore.exceptions import BaseError, GenericError, NotSupportedError, PermissionDeniedError

from sluice_store.errors import StoreError, told

S3 = "Generic S3 error: Error performing PUT http://store/b in 5ms - Server returned non-2xx status code: "


@pytest.mark.parametrize(
    ("error", "permanent", "message"),
    [
        (NotSupportedError("no"), True, "s3://b cannot do this"),
        (FileNotFoundError("NoSuchBucket"), True, "s3://b is not there; check its name"),
        (PermissionDeniedError("no"), True, "s3://b refuses; check the credentials"),
        (GenericError(f"{S3}403 Forbidden: "), True, "s3://b refuses; check the credentials"),
        (GenericError(f"{S3}400 Bad Request: "), True, "s3://b failed"),
        (GenericError(f"{S3}301 Moved Permanently: "), True, "s3://b failed"),
        (GenericError(f"{S3}409 Conflict: "), False, "s3://b failed"),
        (GenericError(f"{S3}429 Too Many Requests: "), False, "s3://b failed"),
        (GenericError(f"{S3}503 Slow Down: "), False, "s3://b failed"),
        (GenericError("Generic S3 error: error sending request"), False, "s3://b failed; check its name, --endpoint"),
    ],
)
def test_what_fails_for_good_is_known_as_such(error: BaseError | OSError, permanent: bool, message: str) -> None:
    with pytest.raises(StoreError, match=message) as raised, told("s3://b"):
        raise error
    assert raised.value.permanent is permanent

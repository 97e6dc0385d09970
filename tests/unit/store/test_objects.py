"""What an object store lists and says, judged without one."""

import pytest
from obstore.store import MemoryStore

from sluice.archive import MAX_MEMBERS
from sluice.config import Fetching
from sluice.failures import PackageError, Reason
from sluice.uri import parse_uri
from sluice_store.objects import Bucket, told_by

URI = parse_uri("s3://models/shop/3")


def bucket(objects: dict[str, bytes]) -> Bucket:
    store = MemoryStore()
    for key, content in objects.items():
        store.put(key, content)
    return Bucket(store, URI, Fetching(attempts=1))  # type: ignore[arg-type]


def test_only_what_is_below_the_prefix_is_fetched(tmp_path) -> None:
    objects = {"shop/3/a": b"1", "shop/3/code/b": b"", "shop/31/c": b"3", "shop/3.tar": b"4", "other": b"5"}
    bucket(objects).fetch_folder(10, tmp_path)
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"a": b"1", "code/b": b""}


def test_empty_objects_that_stand_for_folders_are_no_files(tmp_path) -> None:
    bucket({"shop/3/code": b"", "shop/3/code/b": b"1"}).fetch_folder(10, tmp_path)
    assert (tmp_path / "code/b").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ({}, Reason.SOURCE_NOT_FOUND),
        ({"shop/3/a": b"1" * 11}, Reason.PACKAGE_TOO_LARGE),
        ({"shop/3/a": b"1" * 6, "shop/3/b": b"1" * 6}, Reason.PACKAGE_TOO_LARGE),
        ({"shop/3/a\\b": b"1"}, Reason.UNSAFE_ARCHIVE),
        ({"shop/3/code": b"1", "shop/3/code/b": b"1"}, Reason.UNSAFE_ARCHIVE),
        ({f"shop/3/{number}": b"" for number in range(MAX_MEMBERS + 1)}, Reason.UNSAFE_ARCHIVE),
    ],
)
def test_a_folder_that_cannot_be_a_package_is_refused_before_it_is_fetched(
    objects: dict[str, bytes], reason: Reason, tmp_path
) -> None:
    with pytest.raises(PackageError) as caught:
        bucket(objects).fetch_folder(10, tmp_path)
    assert caught.value.reason is reason, caught.value
    assert list(tmp_path.iterdir()) == []


def test_neither_pages_nor_signatures_are_passed_on() -> None:
    error = ValueError(
        "Generic S3 error: Error performing GET https://a.blob.core.windows.net/c/k?sv=1&sig=s3cret in 5ms - "
        'Server returned non-2xx status code: 400 Bad Request: <?xml version="1.0"?>\n<Error>s3cret</Error>'
    )
    assert told_by(error) == (  # type: ignore[arg-type]
        "Generic S3 error: Error performing GET https://a.blob.core.windows.net/c/k in 5ms - "
        "Server returned non-2xx status code: 400 Bad Request"
    )

"""The cache never goes back in time, and knows whom every change concerns."""

from typing import Any

from sluice_operator.cluster.cache import REMEMBERED_DELETIONS, Cache, Key
from sluice_operator.cluster.kinds import CONFIG_MAP, DEPLOYMENT, MODEL_DEPLOYMENT, POD
from unit.operator.kube_objects import controlled_by, metadata

ONE = Key("shop", "one")
TWO = Key("shop", "two")


def child(name: str = "c", version: Any = 1, owner: Any = "one", **more: Any) -> Any:
    return {"metadata": metadata(name, version=version, owner=owner), **more}


def test_a_new_object_concerns_its_owner() -> None:
    cache = Cache()
    assert cache.put(DEPLOYMENT, child()) == {ONE}
    assert [obj["metadata"]["name"] for obj in cache.owned(DEPLOYMENT, ONE)] == ["c"]


def test_the_same_version_again_is_no_news() -> None:
    cache = Cache()
    cache.put(DEPLOYMENT, child(version=5))
    assert cache.put(DEPLOYMENT, child(version=5)) == set()


def test_an_older_version_is_ignored() -> None:
    cache = Cache()
    cache.put(DEPLOYMENT, child(version=10, data="new"))
    assert cache.put(DEPLOYMENT, child(version=9, data="old")) == set()
    held = cache.get(DEPLOYMENT, "shop", "c")
    assert held is not None
    assert held["data"] == "new"


def test_versions_are_numbers_and_not_text() -> None:
    cache = Cache()
    cache.put(DEPLOYMENT, child(version=9))
    assert cache.put(DEPLOYMENT, child(version=10)) == {ONE}


def test_a_deleted_object_is_gone() -> None:
    cache = Cache()
    cache.put(DEPLOYMENT, child(version=5))
    assert cache.drop(DEPLOYMENT, child(version=6)) == {ONE}
    assert cache.get(DEPLOYMENT, "shop", "c") is None
    assert cache.owned(DEPLOYMENT, ONE) == []


def test_a_late_answer_to_an_older_write_brings_nothing_back() -> None:
    cache = Cache()
    cache.put(DEPLOYMENT, child(version=5))
    cache.drop(DEPLOYMENT, child(version=7))
    assert cache.put(DEPLOYMENT, child(version=6)) == set()
    assert cache.get(DEPLOYMENT, "shop", "c") is None


def test_an_object_made_anew_is_taken_in() -> None:
    cache = Cache()
    cache.put(DEPLOYMENT, child(version=5))
    cache.drop(DEPLOYMENT, child(version=7))
    assert cache.put(DEPLOYMENT, child(version=8)) == {ONE}


def test_a_late_deletion_does_not_remove_what_was_made_since() -> None:
    cache = Cache()
    cache.put(DEPLOYMENT, child(version=8))
    assert cache.drop(DEPLOYMENT, child(version=7)) == set()
    assert cache.get(DEPLOYMENT, "shop", "c") is not None


def test_memory_of_deletions_is_bounded() -> None:
    cache = Cache()
    for number in range(REMEMBERED_DELETIONS + 10):
        cache.drop(POD, child(f"p{number}", version=number + 1))
    assert not cache.knows(POD, "shop", "p0", 1)
    assert cache.knows(POD, "shop", f"p{REMEMBERED_DELETIONS}", 1)


def test_an_object_that_changes_hands_concerns_both() -> None:
    cache = Cache()
    cache.put(CONFIG_MAP, child(version=1))
    assert cache.put(CONFIG_MAP, child(version=2, owner="two")) == {ONE, TWO}
    assert cache.owned(CONFIG_MAP, ONE) == []


def test_an_object_whose_label_was_taken_away_still_belongs_to_its_controller() -> None:
    cache = Cache()
    stripped = {"metadata": {**metadata("c"), "ownerReferences": controlled_by("one", "uid-one")}}
    assert cache.put(CONFIG_MAP, stripped) == {ONE}


def test_an_object_of_nobody_concerns_nobody() -> None:
    assert Cache().put(CONFIG_MAP, {"metadata": metadata("c")}) == set()


def test_a_model_deployment_concerns_itself() -> None:
    cache = Cache()
    assert cache.put(MODEL_DEPLOYMENT, {"metadata": metadata("one"), "spec": {}}) == {ONE}
    assert cache.keys() == {ONE}


def test_a_note_lasts_until_its_object_changes() -> None:
    cache = Cache()
    cache.put(DEPLOYMENT, child(version=5))
    cache.note(DEPLOYMENT, "shop", "c", "checked")
    cache.put(DEPLOYMENT, child(version=4))
    assert cache.noted(DEPLOYMENT, "shop", "c") == "checked"
    cache.put(DEPLOYMENT, child(version=6))
    assert cache.noted(DEPLOYMENT, "shop", "c") is None


def test_a_note_goes_with_its_object() -> None:
    cache = Cache()
    cache.put(DEPLOYMENT, child(version=5))
    cache.note(DEPLOYMENT, "shop", "c", "checked")
    cache.drop(DEPLOYMENT, child(version=6))
    assert cache.noted(DEPLOYMENT, "shop", "c") is None


def test_only_what_is_read_is_kept() -> None:
    cache = Cache()
    cache.put(POD, {"spec": {"containers": []}, "status": {}, "metadata": {**metadata("p"), "managedFields": [1]}})
    held = cache.get(POD, "shop", "p")
    assert held is not None
    assert "spec" not in held
    assert "managedFields" not in held["metadata"]

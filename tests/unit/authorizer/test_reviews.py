"""A yes of the API server is only what says so; its answers are read strictly."""

from typing import Any

import pytest

from sluice_authorizer.apiserver import Unavailable
from sluice_authorizer.outcomes import Refusal, User, Why
from sluice_authorizer.reviews import ACCESS_REVIEWS, SELF_REVIEWS, TOKEN_REVIEWS, Reviews
from unit.authorizer.parts import NOW, Answering, token, user

WANTED = ("sluice.dev", "b")
ANN = {
    "username": "ann",
    "uid": "7",
    "groups": ["sellers", "system:authenticated"],
    "extra": {"authentication.kubernetes.io/pod-name": ["p"], "Scopes/A": ["a", "b"]},
}


def reviewed(**status: Any) -> Answering:
    return Answering({TOKEN_REVIEWS: {"status": status}})


async def test_a_token_is_asked_about_with_its_audiences():
    api = reviewed(authenticated=True, audiences=["b"], user=ANN)
    found = await Reviews(api).identify(token(), WANTED)
    assert isinstance(found, User)
    assert (found.name, found.uid, found.groups, found.extra) == ("ann", "7", tuple(ANN["groups"]), ANN["extra"])
    assert found.expires == NOW + 600
    assert api.asked[0][1]["spec"]["audiences"] == list(WANTED)


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"authenticated": False},
        {"authenticated": "true", "audiences": ["b"], "user": ANN},
        {"authenticated": False, "error": "token lookup failed", "user": ANN, "audiences": ["b"]},
        {"authenticated": True, "user": ANN},
        {"authenticated": True, "user": ANN, "audiences": []},
        {"authenticated": True, "user": ANN, "audiences": ["kubernetes"]},
        {"authenticated": True, "audiences": ["b"]},
        {"authenticated": True, "audiences": ["b"], "user": {"username": ""}},
        {"authenticated": True, "audiences": ["b"], "user": {"username": 5}},
    ],
)
async def test_anything_else_is_a_wrong_token(status):
    found = await Reviews(reviewed(**status)).identify(b"opaque", WANTED)
    assert isinstance(found, Refusal)
    assert found.why is Why.WRONG_TOKEN
    assert 0 < found.age <= 10
    assert "lookup" not in found.text


async def test_everything_that_is_known_of_a_user_is_asked_about():
    api = Answering(
        {
            TOKEN_REVIEWS: {"status": {"authenticated": True, "audiences": ["b"], "user": ANN}},
            ACCESS_REVIEWS: {"status": {"allowed": True}},
        }
    )
    reviews = Reviews(api)
    found = await reviews.identify(b"opaque", WANTED)
    assert isinstance(found, User)
    assert await reviews.permit(found, "shop", "m")
    assert api.asked[1][1]["spec"] == {
        "user": "ann",
        "uid": "7",
        "groups": ANN["groups"],
        "extra": ANN["extra"],
        "resourceAttributes": {
            "namespace": "shop",
            "name": "m",
            "verb": "create",
            "group": "sluice.dev",
            "resource": "modeldeployments",
            "subresource": "inference",
        },
    }


@pytest.mark.parametrize("status", [{}, {"allowed": False}, {"allowed": 1}, {"allowed": True, "denied": True}])
async def test_only_allowed_is_allowed(status):
    assert not await Reviews(Answering({ACCESS_REVIEWS: {"status": status}})).permit(user(), "shop", "m")


@pytest.mark.parametrize("answer", [None, {}, {"status": None}, {"status": "Failure", "message": "no"}])
async def test_an_answer_without_a_status_is_none(answer):
    reviews = Reviews(Answering({TOKEN_REVIEWS: answer, ACCESS_REVIEWS: answer}))
    with pytest.raises(Unavailable):
        await reviews.identify(b"opaque", WANTED)
    with pytest.raises(Unavailable):
        await reviews.permit(user(), "shop", "m")


async def test_two_users_are_two_even_where_they_share_a_name():
    keys = set()
    changes: list[dict[str, Any]] = [{}, {"uid": "8"}, {"groups": []}, {"extra": {}}, {"username": "bob"}]
    for changed in changes:
        api = reviewed(authenticated=True, audiences=["b"], user={**ANN, **changed})
        found = await Reviews(api).identify(b"opaque", WANTED)
        assert isinstance(found, User)
        keys.add(found.key)
    assert len(keys) == 5


@pytest.mark.parametrize(("allowed", "missing"), [(True, []), (False, ["tokenreviews", "subjectaccessreviews"])])
async def test_it_knows_what_it_may_not_ask(allowed, missing):
    reviews = Reviews(Answering({SELF_REVIEWS: {"status": {"allowed": allowed}}}))
    assert await reviews.rights_missing() == missing

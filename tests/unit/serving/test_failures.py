"""The last word of a container reaches the operator whole."""

from pathlib import Path

import pytest

from sluice.failures import TERMINATION_LIMIT, Failure, Reason, Resolved, parse_termination, write_termination
from sluice.manifest import Card


@pytest.mark.parametrize(
    "word",
    [
        Failure(reason=Reason.DIGEST_MISMATCH, message='it "differs" \n ä'),
        Resolved(digest="sha256:" + "0" * 64, name="shop", version="3"),
    ],
)
def test_what_is_written_is_read(word: Failure | Resolved, tmp_path: Path) -> None:
    write_termination(tmp_path / "log", word)
    assert parse_termination((tmp_path / "log").read_text()) == word


@pytest.mark.parametrize("letter", ["x", "ä", "🙂", '"', "\0"])
def test_a_long_message_is_cut_so_that_the_kubelet_keeps_all_of_it(letter: str, tmp_path: Path) -> None:
    write_termination(tmp_path / "log", Failure(reason=Reason.INTERNAL, message=letter * 10_000))
    text = (tmp_path / "log").read_text()
    assert len(text.encode()) <= TERMINATION_LIMIT
    word = parse_termination(text)
    assert isinstance(word, Failure)
    assert word.message == letter * (len(word.message) - 1) + "…"
    assert len(text) > TERMINATION_LIMIT - 12


@pytest.mark.parametrize("text", ["", "Killed", "{", "[]", '{"reason": "Other", "message": ""}', "null"])
def test_a_foreign_word_is_no_word(text: str) -> None:
    assert parse_termination(text) is None


def test_an_unwritable_log_does_not_hide_the_failure(tmp_path: Path) -> None:
    write_termination(tmp_path / "missing" / "log", Failure(reason=Reason.INTERNAL, message="x"))


def test_only_faults_that_may_pass_are_transient() -> None:
    assert not Reason.SOURCE_UNREACHABLE.permanent
    assert not Reason.NO_SPACE.permanent
    assert Reason.DIGEST_MISMATCH.permanent
    assert Reason.SOURCE_NOT_FOUND.permanent


@pytest.mark.parametrize("letter", ["x", "🙂"])
def test_a_long_card_gives_way_to_what_a_reference_stands_for(letter: str, tmp_path: Path) -> None:
    card = Card(description=letter * 4096, owner=letter * 256, metrics={f"{letter * 250}{i}": 1e-7 for i in range(20)})
    word = Resolved(digest="sha256:" + "0" * 64, name="s", version="3", uri="oci://" + "a" * 800, card=card.summary())
    write_termination(tmp_path / "log", word)
    text = (tmp_path / "log").read_text()
    assert len(text.encode()) <= TERMINATION_LIMIT
    found = parse_termination(text)
    assert isinstance(found, Resolved)
    assert found.uri == word.uri
    assert found.card.items() <= word.card.items()
    assert found.card["description"].startswith(letter * 200)

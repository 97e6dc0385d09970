"""What came from the environment is told to nobody."""

import pytest

from sluice_features.errors import FeaturesError
from sluice_features.secrets import Secrets

ENVIRON = {
    "DSN": "postgresql://reader:p%40ss-word@db/shop",
    "LIBPQ": "host=db user=reader password='two words'",
    "TOKEN": "abcdef",
    "SHORT": "a",
}


@pytest.mark.parametrize(
    ("given", "message", "scrubbed"),
    [
        ("${DSN}", "cannot reach postgresql://reader:p%40ss-word@db/shop", "cannot reach ${DSN}"),
        ("${DSN}", 'password "p@ss-word" is wrong\nsaid p%40ss-word', 'password "${DSN}" is wrong said ${DSN}'),
        ("${LIBPQ}", "not two words", "not ${LIBPQ}"),
        ("Bearer ${TOKEN}", "header Bearer abcdef", "header Bearer ${TOKEN}"),
        ("${SHORT}", "a cat", "a cat"),
        ("${TOKEN}", "\x1b[31mred\x1b[0m abcdef", "red ${TOKEN}"),
        ("${TOKEN}", "x" * 495 + "abcdef", "x" * 495 + "${..."),
    ],
)
def test_values_are_taken_out_of_messages(given: str, message: str, scrubbed: str) -> None:
    secrets = Secrets(ENVIRON)
    secrets.filled(given)
    assert secrets.scrubbed(message) == scrubbed


def test_variables_are_filled_in() -> None:
    assert Secrets(ENVIRON).filled("x${TOKEN}y$TOKEN") == "xabcdefy$TOKEN"


@pytest.mark.parametrize("name", ["OTHER", "EMPTY"])
def test_a_variable_that_is_not_set_is_named(name: str) -> None:
    with pytest.raises(FeaturesError, match=f"the environment variable {name} is not set"):
        Secrets({"EMPTY": ""}).filled(f"${{{name}}}")

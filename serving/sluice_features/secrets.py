"""Credentials come from the environment alone, where `features.yaml` says `${NAME}`, and are told to nobody.

What was read is remembered, so that no message of a driver's or a server's brings it to a log or into `status`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import unquote

from sluice_features.errors import invalid

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# The password of a URL, and of libpq's key=value form.
_PASSWORDS = (
    re.compile(r"://[^/\s:@]*:([^@\s]+)@"),
    re.compile(r"password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE),
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
LONGEST = 500
"""Some libraries tell all of a server's answer."""

_SHORTEST = 3
"""Characters; what is shorter is no secret, and would be found in every word."""


class Secrets:
    """The environment, as definitions refer to it."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._told: dict[str, str] = {}

    def filled(self, text: str) -> str:
        """The text with the variables' values in place of their names.

        Raises:
            FeaturesError: FeaturesInvalid, naming a variable that is not set.
        """
        return _VARIABLE.sub(lambda found: self._value(found[1]), text)

    def knowing(self, name: str, value: str) -> Secrets:
        """The same environment with one variable more."""
        return Secrets({**self._environ, name: value})

    def scrubbed(self, message: object) -> str:
        """One line of LONGEST letters at most, in which no value, and no password in a value, can be read."""
        line = " ".join(_COLOURS.sub("", str(message)).split())
        for value, name in sorted(self._told.items(), key=lambda item: -len(item[0])):
            line = line.replace(value, name)
        # Cut last: half of a secret would not be known again.
        return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."

    def _value(self, name: str) -> str:
        value = self._environ.get(name)
        if not value:
            raise invalid(f"the environment variable {name} is not set; the definitions refer to it as ${{{name}}}")
        for secret in {value, " ".join(value.split()), *_passwords(value)}:
            if len(secret) >= _SHORTEST:
                self._told[secret] = f"${{{name}}}"
        return value


def holds_password(text: str) -> bool:
    """Whether a password, rather than the name of a variable, is written into the text."""
    return any(not _VARIABLE.search(found) for found in _passwords(text))


def names_variable(text: str) -> bool:
    """Whether a variable of the environment is named in the text."""
    return _VARIABLE.search(text) is not None


def _passwords(text: str) -> list[str]:
    found = [match.strip("'") for pattern in _PASSWORDS for match in pattern.findall(text)]
    return [*found, *map(unquote, found)]

"""Which requests are told apart by what they carry: testers who reach a canary before its weight does, and users who
stay on one version. Names and values are refused here where a router could never see them.
"""

from typing import Annotated

from pydantic import ConfigDict, Field

from sluice_operator.api.base import ApiModel, rules
from sluice_operator.api.scalars import DURATION_PATTERN, Duration

NAME_PATTERN = r"^[A-Za-z0-9!#$%&'*+.^_|~-]+$"
COOKIE_PATTERN = r"^[!#-+.-:<-\[\]-~-]+$"
TEXT_PATTERN = r"^[!-~]([ -~]*[!-~])?$"

HeaderName = Annotated[
    str,
    Field(
        pattern=NAME_PATTERN,
        max_length=128,
        json_schema_extra=rules(
            (
                "!self.lowerAscii().startsWith('x-envoy-') && self.lowerAscii() != 'host'",
                "the router removes x-envoy-* from requests, and host names the endpoint: choose another header",
            )
        ),
    ),
]
CookieName = Annotated[str, Field(pattern=NAME_PATTERN, max_length=128)]
Regex = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        json_schema_extra=rules(
            # The comparison keeps the error of a malformed expression from being swallowed by the logic around it.
            ("'x'.matches(self) in [true, false]", "must be a regular expression of the RE2 syntax"),
            ("!self.contains('{')", "counted repetitions and named classes are not taken: they grow without bound"),
        ),
    ),
]

_ONE = rules(
    (
        "[has(self.value), has(self.regex), has(self.present)].filter(given, given).size() == 1",
        "set exactly one of value, regex and present",
    ),
    ("!has(self.present) || self.present", "present can only be true"),
)


class HeaderMatch(ApiModel):
    """A header of a request. Over gRPC: metadata."""

    model_config = ConfigDict(json_schema_extra=_ONE)

    name: HeaderName = Field(description="Name of the header, in any case.")
    value: Annotated[str, Field(pattern=TEXT_PATTERN, max_length=256)] | None = Field(
        default=None, description="The whole value."
    )
    regex: Regex | None = Field(default=None, description="A regular expression (RE2) for the whole value.")
    present: bool | None = Field(default=None, description="true: any value.")


class CookieMatch(ApiModel):
    """A cookie of a request."""

    model_config = ConfigDict(json_schema_extra=_ONE)

    name: CookieName = Field(description="Name of the cookie.")
    value: Annotated[str, Field(pattern=COOKIE_PATTERN, max_length=256)] | None = Field(
        default=None, description="The whole value."
    )
    regex: Regex | None = Field(default=None, description="A regular expression (RE2) for the whole value.")
    present: bool | None = Field(default=None, description="true: any value.")


class Match(ApiModel):
    """What a request carries; where both are set, both."""

    model_config = ConfigDict(
        json_schema_extra=rules(("has(self.header) || has(self.cookie)", "a match needs header, cookie or both"))
    )

    header: HeaderMatch | None = Field(default=None, description="A header.")
    cookie: CookieMatch | None = Field(default=None, description="A cookie.")


class StickyCookie(ApiModel):
    """The cookie by which a user is known again."""

    name: CookieName = Field(default="sluice-user", description="Name of the cookie.")
    ttl: Annotated[
        Duration,
        Field(
            json_schema_extra=rules(
                (f"!self.matches(r'{DURATION_PATTERN}') || duration(self) >= duration('1s')", "ttl is at least 1s")
            )
        ),
    ] = Field(
        default="720h",
        description="How long a user is known. Longer than a rollout takes, or a user may go back and forth in it.",
    )


class Sticky(ApiModel):
    """By what a user is known."""

    model_config = ConfigDict(
        json_schema_extra=rules(("has(self.cookie) != has(self.header)", "set exactly one of cookie and header"))
    )

    cookie: StickyCookie | None = Field(
        default=None, description="A cookie that the router gives to those who have none, for browsers and cookie jars."
    )
    header: HeaderName | None = Field(
        default=None,
        description="A header that names the user and that applications send with every request. Requests without it "
        "go by weight, each for itself.",
    )

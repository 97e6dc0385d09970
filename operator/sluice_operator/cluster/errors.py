"""What can go wrong between the operator and the API server, in the distinctions that callers act on.

ClusterError
├── Unavailable   the server cannot now: try again later, nothing is wrong with the request
│   └── Unreachable   nobody answers; the circuit tells people, once
├── NotLeading    another operator may act by now, so this one no longer does
├── Conflict      the object changed since it was read: look again
├── Gone          the object, its namespace or its owner is not there (any more)
└── Refused       the server understood and said no: somebody has to change something
"""


class ClusterError(Exception):
    """Anything that went wrong between the operator and the API server."""


class Unavailable(ClusterError):  # noqa: N818
    """The API server cannot now. `internal`: one request failed inside it, as where a webhook does not answer."""

    def __init__(self, message: str, internal: bool = False) -> None:
        super().__init__(message)
        self.internal = internal


class Unreachable(Unavailable):
    """Nobody answers."""


class NotLeading(ClusterError):  # noqa: N818
    """The lease is not held (any more): nothing may be written."""


class Conflict(ClusterError):  # noqa: N818
    """The object has changed since it was read."""


class Gone(ClusterError):  # noqa: N818
    """The object does not exist, or its namespace is being deleted."""


class Refused(ClusterError):  # noqa: N818
    """The API server said no: forbidden, invalid, over quota or denied by an admission rule.

    `kind` and `name` tell the object, `message` is the server's own and says what to change.
    """

    def __init__(self, kind: str, name: str, message: str) -> None:
        super().__init__(f"{kind} {name}: {message}")
        self.kind = kind
        self.name = name
        self.message = message

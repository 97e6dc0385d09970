"""How router, runtime and operator speak of requests that two versions answer, so that the answers can be compared."""

MARK = "x-sluice-compare"
"""Header in which the router gives a request and its copy the same id; it takes away what callers send under it."""

PATH = "/answers"
"""Where a runtime tells what it answered to marked requests lately; no router leads there."""

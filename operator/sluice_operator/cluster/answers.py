"""Reads what the pods of two versions answered to marked requests, and joins the answers to the same request.

Nothing is written down: an operator that takes over counts from its own first look on, and no pair is counted twice.
"""

import asyncio
import copy
import logging
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
from pydantic import BaseModel, Field, TypeAdapter
from yarl import URL

from sluice.comparison import PATH
from sluice_operator.planning.comparison import Comparison, Output, Said, Tally, Tolerance

logger = logging.getLogger(__name__)

READ_AT_MOST = 8_000_000
"""Bytes of an answer; what a runtime keeps is a tenth of it."""
WAIT_AT_MOST = 8192
"""Answers of a version whose counterpart is still to come. Of what is older it never comes: a copy was not sent."""

_TIMEOUT = aiohttp.ClientTimeout(total=2)


class _Told(BaseModel):
    """One answer as a runtime tells it; numbers that are not finite are text."""

    class Output(BaseModel):
        """One of its outputs."""

        datatype: str
        shape: tuple[int, ...]
        values: tuple[int | float, ...]

    number: int
    id: str
    outputs: dict[str, Output] = Field(default_factory=dict)
    error: int | None = None

    def said(self) -> Said:
        """As it is compared."""
        outputs = {name: Output(told.datatype, told.shape, told.values) for name, told in self.outputs.items()}
        return Said(outputs, self.error)


class _Page(BaseModel):
    """What a runtime answers with."""

    answers: list[_Told]


_PAGE = TypeAdapter(_Page)


@dataclass
class _Joining:
    """Two versions of one ModelDeployment. `stable` and `canary`: answers without a counterpart so far, by id."""

    versions: tuple[str, str]
    stable: OrderedDict[str, Said] = field(default_factory=OrderedDict)
    canary: OrderedDict[str, Said] = field(default_factory=OrderedDict)
    read_to: dict[str, int] = field(default_factory=dict)
    total: Tally = field(default_factory=Tally)
    pairs_before: int = 0
    different_before: int = 0

    def open_window(self) -> None:
        """Count from here."""
        self.pairs_before, self.different_before = self.total.pairs, self.total.different

    def join(self, tolerance: Tolerance) -> None:
        """Count every pair that is complete, once; forget answers that have waited too long."""
        for name in self.stable.keys() & self.canary.keys():
            self.total.add(self.stable.pop(name), self.canary.pop(name), tolerance)
        for waiting in (self.stable, self.canary):
            while len(waiting) > WAIT_AT_MOST:
                waiting.popitem(last=False)

    def comparison(self, complete: bool) -> Comparison:
        """What has been counted, as it stays."""
        pairs, different = self.total.pairs - self.pairs_before, self.total.different - self.different_before
        return Comparison(copy.deepcopy(self.total), pairs, different, complete)


class AnswerObserver:
    """Asks pods over HTTP. One that does not answer makes a comparison incomplete, and is never an exception."""

    def __init__(self, http: aiohttp.ClientSession, runtime_port: int) -> None:
        self._http = http
        self._port = runtime_port
        self._joining: dict[Hashable, _Joining] = {}

    async def comparison(
        self, key: Hashable, versions: tuple[str, str], pod_ips: Mapping[str, Sequence[str]], tolerance: Tolerance
    ) -> Comparison:
        """What the two `versions`, stable and canary, said to the same requests since the first call for them.

        What pods kept from before that call counts for nothing.
        """
        known = self._joining.get(key)
        joining = known if known and known.versions == versions else _Joining(versions)
        pods = [(version, ip) for version in versions for ip in pod_ips.get(version, ())]
        pages = await asyncio.gather(*(self._read(ip, joining.read_to.get(ip, 0)) for _, ip in pods))
        for (version, ip), page in zip(pods, pages, strict=True):
            if page:
                joining.read_to[ip] = page[-1].number
                waiting = joining.stable if version == versions[0] else joining.canary
                waiting.update((told.id, told.said()) for told in page if joining is known)
        self._joining[key] = joining
        joining.join(tolerance)
        complete = None not in pages and all(pod_ips.get(version) for version in versions)
        return joining.comparison(complete)

    def open_window(self, key: Hashable) -> None:
        """Open a new window from the last look."""
        if joining := self._joining.get(key):
            joining.open_window()

    def forget(self, key: Hashable) -> None:
        """Drop what is known of a ModelDeployment that copies nothing."""
        self._joining.pop(key, None)

    async def _read(self, ip: str, after: int) -> list[_Told] | None:
        url = URL.build(scheme="http", host=ip, port=self._port, path=PATH, query={"after": str(after)})
        try:
            async with self._http.get(url, timeout=_TIMEOUT, raise_for_status=True) as response:
                if (response.content_length or READ_AT_MOST) >= READ_AT_MOST:
                    raise ValueError(f"the answer has {response.content_length} bytes")
                return _PAGE.validate_json(await response.read()).answers
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            logger.info("no answers from %s: %s", url, str(error).splitlines()[:1] or type(error).__name__)
            return None

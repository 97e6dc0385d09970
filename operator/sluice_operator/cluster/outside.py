"""Asks services outside of the cluster's own parts: a Prometheus, and webhooks.

Their answers take as long as they take, so no pass waits for them: a question is asked in the background, and what has
been answered by the next pass is its observation. Addresses come from specs, so only http and https are spoken, no
redirect is followed, little is read, and nothing but the status code and a short message is passed on.
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import aiohttp
from yarl import URL

from sluice_operator.cluster import prometheus_api
from sluice_operator.cluster.errors import ClusterError
from sluice_operator.planning.observed import Answer
from sluice_operator.planning.questions import Question

log = logging.getLogger(__name__)

READ_AT_MOST = 1_000_000
"""Bytes of an answer."""
SAID_AT_MOST = 200
"""Characters of a service's words that are shown."""

ReadSecret = Callable[[str, str], Awaitable[Mapping[str, str]]]
"""(namespace, name) -> data, base64 as the API server has it; raises ClusterError."""


@dataclass
class _Asked:
    question: Question
    task: asyncio.Task[Answer]
    answered_at: float | None = None
    answer: Answer | None = None


class Outside:
    """Questions under way, by resource. `prometheus_url`: the address where a spec names none, empty for none."""

    def __init__(self, http: aiohttp.ClientSession, read_secret: ReadSecret, prometheus_url: str = "") -> None:
        self._http = http
        self._read_secret = read_secret
        self._prometheus_url = prometheus_url
        self._asked: dict[Hashable, dict[str, _Asked]] = {}

    def answers(self, key: Hashable, namespace: str, questions: Sequence[Question]) -> dict[str, Answer]:
        """What is answered by now. Questions that are new are asked, those that are not due any more are dropped."""
        before = self._asked.pop(key, {})
        asked = {question.id: self._ask(before.get(question.id), namespace, question) for question in questions}
        for known in before.values():
            if known not in asked.values():
                known.task.cancel()
        if asked:
            self._asked[key] = asked
        return {name: known.answer for name, known in asked.items() if known.answer is not None}

    def _ask(self, known: _Asked | None, namespace: str, question: Question) -> _Asked:
        """The question as it stands: under way, answered, or asked (again) now; an old answer stands until then."""
        now = asyncio.get_running_loop().time()
        if known is None or known.question.moment != question.moment:
            return _Asked(question, asyncio.create_task(self._answer(namespace, question)))
        if known.task.done() and known.answered_at is None:
            known.answered_at, known.answer = now, known.task.result()
        due = known.answered_at is not None and question.again is not None and now - known.answered_at >= question.again
        if due:
            known.question, known.answered_at = question, None
            known.task = asyncio.create_task(self._answer(namespace, question))
        return known

    async def _answer(self, namespace: str, question: Question) -> Answer:
        try:
            async with asyncio.timeout(question.timeout):
                return await (self._query(namespace, question) if question.query else self._post(question))
        except TimeoutError:
            return Answer(fault=True, message=f"no answer within {question.timeout:g} s")
        except (aiohttp.ClientError, ClusterError, OSError, ValueError) as error:
            log.info("no answer from %s: %r", question.url, error)
            return Answer(fault=True, message=_short(str(error) or type(error).__name__))

    async def _query(self, namespace: str, question: Question) -> Answer:
        address = question.url or self._prometheus_url
        if not address:
            said = "no Prometheus is known: set analysis.prometheus.url or the operator's --prometheus-url"
            return Answer(fault=True, message=said)
        headers = {"Authorization": f"Bearer {await self._token(namespace, question)}"} if question.secret else {}
        url = _http_url(address) / "api/v1/query"
        form = {"query": question.query}
        async with self._http.post(url, data=form, headers=headers, allow_redirects=False) as response:
            return prometheus_api.answer(response.status, await _read(response))

    async def _token(self, namespace: str, question: Question) -> str:
        data = await self._read_secret(namespace, question.secret or "")
        try:
            return base64.b64decode(data["token"], validate=True).decode("ascii").strip()
        except (KeyError, binascii.Error, UnicodeDecodeError):
            raise ValueError(f"Secret {question.secret} has no key `token` with a bearer token") from None

    async def _post(self, question: Question) -> Answer:
        headers = {"Content-Type": "application/json"}
        url = _http_url(question.url)
        async with self._http.post(url, data=question.body, headers=headers, allow_redirects=False) as response:
            await _read(response)
            if response.status == 200:
                return Answer(yes=True, message="yes (200)")
            if 400 <= response.status < 500:
                return Answer(message=f"no ({response.status})")
            return Answer(fault=True, message=f"HTTP {response.status}, neither yes (200) nor no (4xx)")


def _http_url(text: str) -> URL:
    url = URL(text)
    if url.scheme not in ("http", "https"):
        raise ValueError(f"{text} is neither http nor https")
    return url


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        body += chunk
        if len(body) > READ_AT_MOST:
            raise ValueError(f"the answer has more than {READ_AT_MOST} bytes")
    return bytes(body)


def _short(text: str) -> str:
    return text if len(text) <= SAID_AT_MOST else text[: SAID_AT_MOST - 3] + "..."

"""Asks another process about rules, and does without it where a rule takes too much: nobody else waits for that one."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import cast
from weakref import WeakValueDictionary

from sluice_authorizer.outcomes import Refusal, Why

log = logging.getLogger(__name__)

TURN_SECONDS = 2.0
"""As long a question waits for others."""

ANSWER_SECONDS = 5.0
"""Should the process hang in spite of its own limits, which count its work and not its waiting."""

STOPPED = Refusal(Why.DATA, "the rule about data took too much time or memory, and was stopped")
_BUSY = Refusal(Why.BUSY, "too many rules about data at once; try again in a second")


class Judging:
    """One question at a time, and only one of each namespace in the queue: its rules slow down their own first."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, namespace: str, line: bytes) -> Refusal | None:
        """None where the rule of this line (`rules.written`) holds."""
        own = self._turns.setdefault(namespace, asyncio.Lock())
        try:
            async with asyncio.timeout(TURN_SECONDS) as waiting, own, self._turn:
                waiting.reschedule(None)
                return await self._judged(line)
        except TimeoutError:
            return _BUSY

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _judged(self, line: bytes) -> Refusal | None:
        answer = b""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await _answer(await self._running(), line)
        except OSError as error:
            log.error("the process that evaluates rules cannot be asked: %s", error)
            return _BUSY
        finally:
            # Also where the caller is gone: its answer must not become the next one's.
            if not answer:
                await asyncio.shield(self.close())
        if not answer:
            log.warning("a rule about data took too much, and was stopped")
            return STOPPED
        text = json.loads(answer)
        return Refusal(Why.DATA, text) if text else None

    async def _running(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sluice_authorizer.rule_process"),
                stdin=PIPE,
                stdout=PIPE,
                # What the library has to say may repeat what it was given.
                stderr=DEVNULL,
                start_new_session=True,
            )
        return self._process


async def _answer(process: Process, line: bytes) -> bytes:
    """Empty where the process has ended."""
    questions, answers = cast("StreamWriter", process.stdin), cast("StreamReader", process.stdout)
    questions.write(line)
    await questions.drain()
    answer = await answers.readline()
    return answer if answer.endswith(b"\n") else b""

"""Judging workflows by what one server declares, before they are sent to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import trio

from ._learned import Learned
from ._logging import logger

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ._namespaces._all import Namespaces
    from ._session import Session
    from ._util import JSONObject
    from ._validation import ValidationRules
    from ._validation_report import Validation

PROMPT_ROUTE: Final = "/api/prompt"
LONGEST_MEMORY: Final = 1000


@final
class Foresight:
    """What a client can say of workflows; nothing, until it is first asked to `judge` one."""

    def __init__(self, session: Session, client: Namespaces) -> None:
        self._session = session
        self._client = client
        # A server that was away may have come back with other classes, and as another version.
        self._rules: Learned[ValidationRules] = Learned(lambda: session.reconnections)
        self._asking = trio.Lock()
        self._told: set[str] = set()

    async def judge(
        self, prompt: JSONObject, *, refresh: bool, attached: Collection[tuple[str, str]]
    ) -> Validation:
        """Judge a prompt, in which seeds of -1 are drawn.

        Args:
            prompt: The prompt.
            refresh: Whether to ask for the definitions anew.
            attached: Inputs whose files are uploaded before the prompt is sent.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: a request failed.
        """
        async with self._asking:
            rules = self._rules.value
            if rules is None or refresh:
                rules = await self._learn()
        return _judge(prompt, self._client.node._latest, rules, attached)

    async def _learn(self) -> ValidationRules:
        from ._check import rules_of

        asked = self._rules.moment
        info = await self._client.system.info()
        await self._client.node.definitions()
        rules = rules_of(info.version)
        self._rules.learn(rules, asked)
        return rules

    def stop_what_is_refused(self, prompt: JSONObject) -> None:
        """Raise if the server is certain to refuse a prompt, and log what it would overlook.

        Raises:
            EnqueueFailedError: it is.
        """
        rules = self._rules.value
        if rules is None:
            return
        validation = _judge(prompt, self._client.node._latest, rules)
        if not validation.accepted and validation.certain:
            validation.raise_if_refused(url=self._session.address.http_url(PROMPT_ROUTE))
        for finding in validation.warnings:
            if not finding.may_be_stale:
                self._warn(str(finding))

    def _warn(self, line: str) -> None:
        """Log a line once, for a program may run a workflow a thousand times."""
        if line in self._told:
            return
        if len(self._told) >= LONGEST_MEMORY:
            self._told.clear()
        self._told.add(line)
        logger.warning("%s: %s", self._session.address, line, extra=self._session.connection.ids())


def _judge(
    prompt: JSONObject,
    definitions: Mapping[str, JSONObject],
    rules: ValidationRules,
    attached: Collection[tuple[str, str]] = (),
) -> Validation:
    # Programs that never ask for a judgement are spared the time that this takes to import.
    from ._check import judge

    return judge(prompt, definitions, rules, attached=attached)

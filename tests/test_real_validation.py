"""The offline verdict beside that of a real server at $COMFY_HOST: ``nox -s real``."""

from __future__ import annotations

import os
import random
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import trio
from mutations import dynamic_prompts, mutate, valid_prompts

from comfy_trio import FindingKind, Workflow, WorkflowError, open_comfy
from comfy_trio._replies import post
from comfy_trio._util import as_object

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from comfy_trio import Comfy, Validation

pytestmark = pytest.mark.real

DEADLINE = 300
PROMPTS = 60
EXCEPTIONS = {"exception_during_inner_validation", "exception_during_validation"}


@pytest.fixture
async def comfy() -> AsyncGenerator[Comfy, None]:
    assert "COMFY_HOST" in os.environ, "say where the real server is: COMFY_HOST=http://..."
    with trio.fail_after(DEADLINE):
        async with open_comfy() as comfy:
            yield comfy


def told(answer: dict[str, Any]) -> object:
    """What of an answer does not depend on the order in which a server looks, which is random."""
    error = as_object(answer.get("error"))
    # The details name only the output nodes themselves, in that order.
    verdict = (error.get("type"), error.get("message"))
    if any(kind in EXCEPTIONS for _, kind in kinds_of(answer)):
        return verdict, "an exception, which ends the look"
    return verdict, {
        node_id: sorted(map(_told, report["errors"]), key=str)
        for node_id, report in as_object(answer.get("node_errors")).items()
    }


def _told(error: dict[str, Any]) -> object:
    return error["type"], error["message"], error["details"], error["extra_info"]["input_name"]


async def ask(comfy: Comfy, prompt: dict[str, Any]) -> dict[str, Any]:
    """What the server says of a prompt, which does not stay in its queue."""
    prompt_id = str(uuid.uuid4())
    body = {"prompt": prompt, "prompt_id": prompt_id, "client_id": "nobody"}
    reply = await comfy._session.http.request(post("/prompt", body))
    assert reply.status in {200, 400}, reply.content
    await comfy._session.http.request(post("/queue", {"delete": [prompt_id]}))
    answer = reply.json()
    assert isinstance(answer, dict)
    return answer


def kinds_of(answer: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (node_id, error["type"])
        for node_id, report in as_object(answer.get("node_errors")).items()
        for error in report["errors"]
    }


def can_be_sent(prompt: dict[str, Any]) -> bool:
    try:
        Workflow(prompt).check()
    except WorkflowError:
        return False
    return True


def compare(prompt: dict[str, Any], validation: Validation, answer: dict[str, Any]) -> None:
    found = {each.kind for each in validation.errors}
    if FindingKind.CYCLE in found:
        return  # what a server says of it depends on where it begins, and nobody sends that
    own = {
        node_id
        for node_id, kind in kinds_of(answer)
        if kind == "custom_validation_failed"
        or (kind in EXCEPTIONS and prompt[node_id]["class_type"] == "LoadImage")
    }
    if own:  # what nobody can know without the server, and what follows from it
        findings = [*validation.errors, *validation.warnings]
        assert own <= {each.node_id for each in findings}, (prompt, answer)
        return
    assert told(validation.reply) == told(answer), (prompt, answer)
    # Servers take the rest of a prompt of which a part would end their worker; it is not sent.
    accepted = "prompt_id" in answer and can_be_sent(prompt)
    assert validation.accepted == accepted, (prompt, answer)


async def test_as_the_server(comfy: Comfy) -> None:
    definitions = await comfy.node.definitions()
    for name, prompt in {**valid_prompts(), **dynamic_prompts()}.items():
        if name in dynamic_prompts() and "ResizeImageMaskNode" not in definitions:
            continue  # an older server
        assert str(await comfy.validate(prompt)) == "accepted"
        rng = random.Random(name)
        for _ in range(PROMPTS):
            mutated = mutate(prompt, rng)
            compare(mutated, await comfy.validate(mutated), await ask(comfy, mutated))

"""Keys of paid services are shown nowhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfy_trio._replies import Reply, get, post, unexpected
from comfy_trio._secrets import SECRETS, hide_secrets, without_secrets
from comfy_trio._wire import decode_execution_error

KEY = "comfyui-0123"


@pytest.mark.parametrize("name", sorted(SECRETS))
@pytest.mark.parametrize("value", [KEY, [KEY], f'{KEY}"\\', ["a", KEY]])
def test_a_text_that_quotes_a_secret(name: str, value: object) -> None:
    body = json.dumps({"queue": [{"a": [1], name: value, "b": "x"}]})
    told = hide_secrets(body)
    assert KEY not in told
    assert json.loads(told) == {"queue": [{"a": [1], name: "(hidden)", "b": "x"}]}
    for end in range(len(body)):
        assert KEY not in hide_secrets(body[:end])


def test_other_texts_stay() -> None:
    for text in ("", "<html>", '{"api_key": "a", "my_auth_token": "b"}', '"auth_token" is missing'):
        assert hide_secrets(text) == text
    assert without_secrets({"a": 1, "auth_token": KEY}) == {"a": 1}


def test_requests_and_errors() -> None:
    body: dict[str, Any] = {"prompt": {}, "extra_data": {"api_key_comfy_org": KEY}}
    request = post("/prompt", body)
    assert KEY not in repr(request)
    reply = Reply(request, "http://x/api/prompt", 500, json.dumps({"echo": body}).encode())
    assert KEY not in repr(reply)
    error = unexpected(reply, "something else")
    assert KEY not in f"{error!r} {error} {error.body} {error.reply!r}"
    assert error.body == {
        "echo": {"prompt": {}, "extra_data": {"api_key_comfy_org": "(hidden)"}},
    }
    assert unexpected(Reply(get("/"), "http://x/", 200, b"\xff{"), "JSON").body is None


@pytest.mark.parametrize("inputs", [{"auth_token": [KEY]}, {"auth_token": [KEY], "a": [1]}])
def test_the_inputs_of_a_node_that_raised(inputs: dict[str, Any]) -> None:
    error = decode_execution_error({"prompt_id": "p", "current_inputs": inputs})
    assert KEY not in f"{error} {error.data}"
    assert error.current_inputs == error.data["current_inputs"]
    assert error.current_inputs.get("a") == inputs.get("a")

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import traces

from comfy_trio import (
    AuthenticationError,
    EnqueueFailedError,
    MissingNodeError,
    NotComfyUIError,
    PaymentRequiredError,
    RequestTooLargeError,
    ResponseError,
    ServiceUnavailableError,
    TooManyRequestsError,
    UnsupportedError,
)
from comfy_trio._replies import (
    QUEUE_LENGTH,
    Reply,
    get,
    post,
    quote_segment,
    raise_for_status,
    require_comfyui,
    require_list,
    require_route,
)
from comfy_trio._routes._prompt import Accepted, read_prompt_reply

URL = "http://h:8188/api/prompt"
PROMPT: dict[str, Any] = {
    "3": {"class_type": "KSampler", "inputs": {}, "_meta": {"title": "Sampler"}},
    "9": {"class_type": "SaveImage", "inputs": {}},
}


def reply(body: object, status: int = 200, content_type: str = "application/json") -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(post("/prompt", {}), URL, status, content, content_type)


def test_requests() -> None:
    assert (get("/view", filename="a").method, get("/view").path) == ("GET", "/api/view")
    assert post("/free", {}).json == {}


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("a b", "a%20b"),
        ("a/b%2Fc", "a%2Fb%252Fc"),
        ("ü|?#&+", "%C3%BC%7C%3F%23%26%2B"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("...", "..."),
        ("a.b", "a.b"),
    ],
)
def test_segments(name: str, quoted: str) -> None:
    assert quote_segment(name) == quoted
    url = str(httpx.URL(f"http://h/x/{quoted}/y"))
    assert url == f"http://h/x/{quoted}/y"


STATUSES: list[tuple[int, type[ResponseError], str]] = [
    (302, ResponseError, "a redirect, which is not followed"),
    (400, ResponseError, "HTTP status 400 and an empty body"),
    (401, AuthenticationError, "Pass credentials="),
    (403, AuthenticationError, "other credentials"),
    (407, AuthenticationError, "other credentials"),
    (402, PaymentRequiredError, "HTTP status 402"),
    (413, RequestTooLargeError, "--max-upload-size"),
    (429, TooManyRequestsError, "HTTP status 429"),
    (503, ServiceUnavailableError, "HTTP status 503"),
    (500, ResponseError, "HTTP status 500"),
    (502, ResponseError, "HTTP status 502"),
]


@pytest.mark.parametrize(("status", "error", "message"), STATUSES)
def test_statuses(status: int, error: type[ResponseError], message: str) -> None:
    with pytest.raises(ResponseError, match=message) as caught:
        raise_for_status(reply(b"", status))
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.method, caught.value.url) == (status, "POST", URL)
    assert (caught.value.body, caught.value.snippet) == (None, "")


@pytest.mark.parametrize("status", [404, 405])
def test_a_route_that_a_server_does_not_have(status: int) -> None:
    require_route(reply(b"", 500), "jobs")
    with pytest.raises(UnsupportedError, match=f"does not have jobs: .*HTTP status {status}$"):
        require_route(reply(b"", status), "jobs")


def test_lists() -> None:
    assert require_list(reply([1]), "a list") == [1]
    with pytest.raises(ResponseError, match="should have been answered with a list, but"):
        require_list(reply({}), "a list")
    with pytest.raises(ResponseError, match="HTTP status 500"):
        require_list(reply([1], 500), "a list")


def test_a_page_of_a_proxy_is_quoted() -> None:
    page = b"<html>\n <h1>502 Bad Gateway</h1>" + b"x" * 2000
    with pytest.raises(ResponseError, match="<html> <h1>502 Bad Gateway</h1>") as caught:
        raise_for_status(reply(page, 502, "text/html"))
    assert len(caught.value.snippet) == 500
    assert caught.value.body is None


def test_the_body_is_kept_parsed() -> None:
    with pytest.raises(ResponseError) as caught:
        raise_for_status(reply({"error": "no"}, 400))
    assert caught.value.body == {"error": "no"}


def test_comfyui_is_recognised() -> None:
    ping = Reply(QUEUE_LENGTH, URL, 200, b'{"exec_info": {"queue_remaining": 3}}')
    assert require_comfyui(ping) == 3


NOT_COMFYUI: list[tuple[bytes, int, type[ResponseError]]] = [
    (b"<html>It works!</html>", 200, NotComfyUIError),
    (b"{}", 200, NotComfyUIError),
    (b"", 404, NotComfyUIError),
    (b"", 200, NotComfyUIError),
    (b"Bad Gateway", 502, NotComfyUIError),
    (b"[" * 100_000, 200, NotComfyUIError),
    (b"", 401, AuthenticationError),
]


@pytest.mark.parametrize(("body", "status", "error"), NOT_COMFYUI)
def test_what_is_not_comfyui(body: bytes, status: int, error: type[ResponseError]) -> None:
    with pytest.raises(error, match=r"http://h:8188/api/prompt"):
        require_comfyui(reply(body, status))


def test_an_accepted_prompt() -> None:
    body: dict[str, Any] = {"prompt_id": "p", "number": 4, "node_errors": {}}
    assert read_prompt_reply(reply(body), PROMPT) == Accepted(4, {}, "p")
    body = {"prompt_id": "p", "node_errors": []}
    assert read_prompt_reply(reply(body), PROMPT) == Accepted(0, {}, "p")


def test_an_accepted_prompt_of_which_a_part_is_refused() -> None:
    for version in traces.VERSIONS:
        body, answer = traces.load(version, "one-output-invalid").posts()[0]
        accepted = read_prompt_reply(answer, body["prompt"])
        errors = accepted.node_errors["10"]
        assert (errors.class_type, errors.dependent_outputs) == ("ImageScale", ("11",))
        assert errors.errors[0].type == "value_not_in_list"
        assert errors.errors[0].input_name == "upscale_method"
        assert str(errors).startswith("node 10 (ImageScale): input 'upscale_method': Value not in")


REFUSALS = {
    "no_prompt": "No prompt provided",
    "prompt_no_outputs": "Prompt has no outputs",
    "required_input_missing": "node 9 (SaveImage): input 'images': Required input is missing",
    "exception_during_validation": "node 9 (SaveImage): Exception when validating node (",
    "value_smaller_than_min": "input 'width': Value -64 smaller than min of 1",
    "invalid_input_type": "(a, invalid literal for int() with base 10: 'a')",
    "return_type_mismatch": "(received_type(LATENT) mismatch input_type(IMAGE))",
    "value_not_in_list": "('nope' not in",
    "custom_validation_failed": "(Invalid image file: missing.png)",
}


@pytest.mark.parametrize("version", traces.VERSIONS)
def test_recorded_refusals_name_node_and_input(version: str) -> None:
    found: set[str] = set()
    for body, answer in traces.load(version, "rejected").posts():
        if answer.status == 200:
            continue
        with pytest.raises(EnqueueFailedError) as caught:
            read_prompt_reply(answer, body.get("prompt", {}))
        error = caught.value
        assert error.status == 400
        assert error.reason in str(error) or isinstance(error, MissingNodeError)
        types = {reason.type for node in error.node_errors.values() for reason in node.errors}
        for name in {error.reason, *types} & REFUSALS.keys():
            assert REFUSALS[name] in str(error)
            found.add(name)
    assert found == REFUSALS.keys()


@pytest.mark.parametrize("version", traces.VERSIONS)
def test_recorded_missing_classes(version: str) -> None:
    missing = [
        (body, answer)
        for body, answer in traces.load(version, "rejected").posts()
        if body.get("prompt", {}).get("1", {}).get("class_type") == "Nope"
    ]
    ((body, answer),) = missing
    with pytest.raises(MissingNodeError, match=r"node 1 \(Nope\) is of a class") as caught:
        read_prompt_reply(answer, body["prompt"])
    assert (caught.value.node_id, caught.value.class_type) == ("1", "Nope")


ODD_REFUSALS: list[tuple[object, int, str]] = [
    ({"error": "out of order", "node_errors": []}, 400, "out of order"),
    ({"code": 7, "message": "slow down"}, 418, "slow down"),
    ({"code": "NO_SUCH_MODEL", "message": "odd"}, 400, r"\(HTTP status 400, NO_SUCH_MODEL\): odd"),
    ({"error": {"message": "odd"}, "node_errors": {"3": 7}}, 400, "odd"),
    (b"<h1>Bad Gateway</h1>", 502, "Bad Gateway"),
    (b"", 500, "HTTP status 500"),
    ([], 400, "HTTP status 400"),
    ({"no": "prompt_id"}, 200, "HTTP status 200"),
    (b"{", 200, "HTTP status 200"),
]


@pytest.mark.parametrize(("body", "status", "message"), ODD_REFUSALS)
def test_refusals_of_other_servers_and_proxies(body: object, status: int, message: str) -> None:
    with pytest.raises(EnqueueFailedError, match=message) as caught:
        read_prompt_reply(reply(body, status), PROMPT)
    assert caught.value.status == status


@pytest.mark.parametrize("status", [401, 403, 413])
def test_refusals_that_are_not_of_the_workflow(status: int) -> None:
    with pytest.raises((AuthenticationError, RequestTooLargeError)):
        read_prompt_reply(reply(b"", status), PROMPT)

from __future__ import annotations

import base64
import html
import json
import traceback
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_trio._masking import MAX_PASSING, Secrets
from comfy_trio._replies import Reply, get

ODD = 'p&ss "word"/\\<ö>'

FORMS = {
    "as it is": ODD,
    "in JSON": json.dumps({"header": ODD}),
    "in JSON without escapes": json.dumps({"header": ODD}, ensure_ascii=False),
    "in a URL": f"http://h/?{quote(ODD, safe='')}",
    "in a path": quote(ODD),
    "in a form": urlencode({"token": ODD}),
    "in a form, all of it": quote_plus(ODD),
    "in HTML": html.escape(ODD),
    "in a repr": repr(ODD.encode("latin-1").decode("latin-1")),
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_secrets_are_known_in_every_form(text: str) -> None:
    masked = Secrets.of(ODD).mask(f"before {text} after")
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert "***" in masked
    assert "ss" not in masked.replace("password", "")


HEADERS = [
    ("Authorization", "Bearer tokensecret", "tokensecret"),
    ("authorization", "tokensecret", "tokensecret"),
    ("Authorization", "Basic " + base64.b64encode(b"me:passsecret").decode(), "passsecret"),
    ("Proxy-Authorization", "Basic " + base64.b64encode(b"me:passsecret").decode(), "passsecret"),
    ("Cookie", 'a=1; session="cookiesecret"; b', "cookiesecret"),
    ("X-API-Key", "keysecret", "keysecret"),
    ("Authorization", "Basic !", "Basic !"),
    ("Authorization", "Basic /w==", "/w=="),
]


@pytest.mark.parametrize(("name", "value", "secret"), HEADERS)
def test_what_is_secret_in_headers(name: str, value: str, secret: str) -> None:
    secrets = Secrets.of(headers=[(name, value)])
    for text in (secret, value, f"{name}: {value}"):
        assert secret not in secrets.mask(text)


def test_what_is_not_secret() -> None:
    secrets = Secrets.of("abc", "", None, headers=[("Accept-Language", "english")])
    assert secrets.mask("abc english") == "abc english"
    assert repr(secrets) == "<Secrets [0]>"
    assert secrets.mask_json(value := {"abc": ["english", 7, None]}) is value


def test_json() -> None:
    secrets = Secrets.of("secret")
    value = {"a secret": ["secret", {"b": "x-secret-y", "c": 7}], "d": None, "e": True}
    expected = {"a ***": ["***", {"b": "x-***-y", "c": 7}], "d": None, "e": True}
    assert secrets.mask_json(value) == expected


def test_the_longest_goes_first() -> None:
    secrets = Secrets.of("pass", "password")
    secrets.add("passwords")
    assert secrets.mask("passwords password pass") == "*** *** ***"


def test_tokens_of_weeks_are_not_kept_for_ever() -> None:
    secrets = Secrets.of("password")
    for number in range(2 * MAX_PASSING):
        secrets.add(f"token-{number}-end", passing=True)
    last = f"token-{2 * MAX_PASSING - 1}-end"
    assert secrets.mask(f"password token-0-end {last}") == "*** token-0-end ***"
    assert repr(secrets) == f"<Secrets [{MAX_PASSING + 1}]>"


@given(st.text(min_size=4), st.text(), st.text())
def test_no_text_holds_a_secret(secret: str, before: str, after: str) -> None:
    masked = Secrets.of(secret).mask(before + secret + after)
    assert secret not in masked.replace("***", "\0") or "\0" in secret or "*" in secret


def test_a_snippet_does_not_end_in_half_a_secret() -> None:
    for size in range(440, 520):
        body = b"x" * size + b"0123456789abcdef" * 4 + b"y" * 3000
        reply = Reply(get("/x"), "http://h", 500, body, secrets=Secrets.of("0123456789abcdef" * 4))
        assert "0123" not in reply.summary().snippet


# --- Causes ---------------------------------------------------------------------------------------


def caught(error: BaseException) -> BaseException:
    with pytest.raises(type(error)) as raised:
        raise error
    return raised.value


def test_causes_that_tell_nothing_are_kept() -> None:
    error = caught(OSError("no route to host"))
    assert Secrets.of("secret").harmless(error) is error


def test_causes_that_tell_a_secret_are_not() -> None:
    secrets = Secrets.of("secret")
    noted = OSError("x")
    noted.add_note("secret")
    behind = OSError("x")
    behind.__cause__ = ValueError("a secret")
    before = OSError("x")
    before.__context__ = ValueError(b"illegal line: secret")
    for error in (
        OSError("a secret"),
        noted,
        behind,
        before,
        ExceptionGroup("x", [OSError("secret")]),
    ):
        assert "secret" in "".join(traceback.format_exception(caught(error)))
        assert secrets.harmless(error) is None


def test_causes_that_are_their_own_cause() -> None:
    error = OSError("x")
    error.__context__ = ValueError("y")
    error.__context__.__context__ = error
    assert Secrets.of("secret").harmless(error) is error

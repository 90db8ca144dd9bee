"""What two real servers sent, as recorded: `tests/fixtures/traces/<version>/<scenario>.jsonl`.

Each line is one thing that happened: ``sent`` (a frame of the client), ``ws`` (a frame of the
server; binary ones as their length and first bytes), ``http`` (a request), ``status`` (its reply).
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import attrs

from comfy_trio._replies import Reply, Request

FOLDER = Path(__file__).parent / "fixtures" / "traces"
VERSIONS = ("0.3.64", "0.27.0")
SCENARIOS = tuple(sorted(path.stem for path in (FOLDER / VERSIONS[0]).glob("*.jsonl")))


@attrs.frozen
class Trace:
    version: str
    scenario: str
    lines: tuple[dict[str, Any], ...]

    def frames(self) -> list[str | bytes]:
        """The server's WebSocket messages; binary ones are filled up with zeros."""
        return [message_of(line) for line in self.lines if "ws" in line]

    def posts(self) -> list[tuple[dict[str, Any], Reply]]:
        """The body of each POST /prompt, with its reply."""
        found: list[tuple[dict[str, Any], Reply]] = []
        asked: dict[str, Any] = {}
        for line in self.lines:
            if "http" in line:
                asked = line
            elif "status" in line and asked["http"] == "POST /prompt":
                found.append((asked["body"], reply_of(line, Request("POST", "/api/prompt"))))
        return found

    def history(self, prompt_id: str) -> Reply:
        """The reply to GET /history/{prompt_id}."""
        path = f"GET /history/{prompt_id}"
        line = next(line for line in self.lines if line.get("http") == path)
        return reply_of(line, Request("GET", f"/api/history/{prompt_id}"))


def load(version: str, scenario: str) -> Trace:
    text = (FOLDER / version / f"{scenario}.jsonl").read_text(encoding="utf-8")
    return Trace(version, scenario, tuple(json.loads(line) for line in text.splitlines()))


def message_of(line: dict[str, Any]) -> str | bytes:
    if line["ws"] == "text":
        return json.dumps(line["data"])
    head = base64.b64decode(line["head"])
    return head.ljust(line["length"], b"\0")


def reply_of(line: dict[str, Any], request: Request) -> Reply:
    body = json.dumps(line["body"]).encode()
    return Reply(
        request, "http://recorded" + request.path, line["status"], body, "application/json"
    )

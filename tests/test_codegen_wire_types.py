"""The generator of the wire's types, and what two real servers sent held against its schemas.

`fixtures/replies/<version>` holds replies that were asked for one by one, shortened: each is what
`REPLIES` names, or an object of what `MAPPINGS` names, or what nodes of each class showed.
"""

from __future__ import annotations

import copy
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import traces
from jsonschema import Draft202012Validator

import comfy_trio
from codegen.__main__ import ROOT, main
from codegen.wire_types import NAMESPACE, TYPES, UI_TYPES, bundle, generate_sources
from comfy_trio import types
from comfy_trio._util import is_list, is_object

REPLIES = {
    "cancel": "CancelReply",
    "features": "Features",
    "jobs": "JobsReply",
    "prompt_accepted": "PromptReply",
    "prompt_accepted_in_part": "PromptReply",
    "queue": "QueueReply",
    "queue_length": "QueueStatus",
    "system_stats": "SystemStats",
    "upload": "UploadReply",
}
MAPPINGS = {"history": "HistoryEntry", "job": "JobEntry", "prompt_refused": "PromptError"}
FOLDER = Path(__file__).parent / "fixtures" / "replies"

SCHEMAS: dict[str, Any] = {
    path.name: json.loads(path.read_text(encoding="utf-8"))
    for path in ROOT.joinpath("codegen", "schemas").glob("*.json")
}
DEFINITIONS: dict[str, Any] = bundle(SCHEMAS)["$defs"]
FRAMES = {
    definition["x-frame"]: name
    for name, definition in DEFINITIONS.items()
    if "x-frame" in definition
}
OUTPUTS = {
    node: name for name, definition in DEFINITIONS.items() for node in definition.get("x-nodes", ())
}


def closed(schema: object) -> Any:
    """A schema that tolerates no key but those that it describes."""
    if is_list(schema):
        return [closed(item) for item in schema]
    if not is_object(schema):
        return schema
    parts = {key: closed(item) for key, item in schema.items()}
    return {"additionalProperties": False, **parts} if "properties" in parts else parts


CLOSED_DEFINITIONS = closed(DEFINITIONS)


@cache
def validator(name: str) -> Any:
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": CLOSED_DEFINITIONS})


def complaints(name: str, value: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(value)]


def fixture(version: str, name: str) -> Any:
    return json.loads(FOLDER.joinpath(version, f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of what the generator reads, with nothing that it writes."""
    shutil.copytree(ROOT / "codegen" / "schemas", tmp_path / "codegen" / "schemas")
    (tmp_path / "comfy_trio").mkdir()
    return tmp_path


def test_the_repository_is_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The sources of the package are those that are tested: installed ones, maybe.
    (tmp_path / "comfy_trio").symlink_to(Path(comfy_trio.__file__).parent)
    for name in ("codegen", "stubs", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    assert main([], root=tmp_path) == 0
    assert capsys.readouterr() == ("", "")


def test_check_and_write(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], root=repository) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err == (
        f"Generated sources are outdated: {UI_TYPES}, {TYPES}, {NAMESPACE}."
        " To regenerate them, run `nox -s codegen -- --write`\n"
    )
    assert not (repository / TYPES).exists()

    assert main(["--write"], root=repository) == 0
    assert capsys.readouterr().out == f"Wrote {TYPES}\nWrote {NAMESPACE}\nWrote {UI_TYPES}\n"
    assert main(["--check"], root=repository) == 0

    # What was edited by hand is noticed, and it alone is written.
    (repository / NAMESPACE).write_text("", encoding="utf-8")
    assert main(["--check"], root=repository) == 1
    assert TYPES not in capsys.readouterr().err
    assert main(["--write"], root=repository) == 0
    assert capsys.readouterr().out == f"Wrote {NAMESPACE}\n"

    schema = repository / "codegen" / "schemas" / "files.json"
    text = schema.read_text(encoding="utf-8")
    schema.write_text(text.replace('"preview_id"', '"thumbnail_id"'), encoding="utf-8")
    assert main([], root=repository) == 1
    assert main(["--write"], root=repository) == 0
    assert "    thumbnail_id: " in (repository / TYPES).read_text(encoding="utf-8")
    assert main([], root=repository) == 0


def test_order_of_files_does_not_matter() -> None:
    reversed_schemas = dict(reversed(list(copy.deepcopy(SCHEMAS).items())))
    assert generate_sources(reversed_schemas) == generate_sources(SCHEMAS)


def test_a_change_that_no_type_shows_is_noticed() -> None:
    changed = copy.deepcopy(SCHEMAS)
    changed["outputs.json"]["$defs"]["Preview3DOutput"]["properties"]["result"]["minItems"] = 3
    after = generate_sources(changed)
    for path, before in generate_sources(SCHEMAS).items():
        lines = zip(before.splitlines(), after[path].splitlines(), strict=True)
        different = [line for line, other in lines if line != other]
        assert len(different) == 1
        assert different[0].startswith("# schemas: sha256 ")


def test_types_have_the_keys_of_their_schemas() -> None:
    assert set(DEFINITIONS) == {name for name in vars(types) if not name.startswith("_")}
    for name, definition in DEFINITIONS.items():
        if definition["type"] == "object":
            generated = getattr(types, name)
            assert set(generated.__annotations__) == set(definition["properties"])
            assert generated.__required_keys__ == set(definition.get("required", ()))
    assert comfy_trio.OutputFile is types.OutputFile


def test_names_are_defined_once() -> None:
    schemas: dict[str, Any] = {
        "a.json": {"$defs": {"Twice": {}}},
        "b.json": {"$defs": {"Twice": {}}},
    }
    with pytest.raises(ValueError, match=r"^Twice is defined in b\.json, and in another"):
        bundle(schemas)


def test_every_schema_is_valid_and_described() -> None:
    Draft202012Validator.check_schema({"$defs": DEFINITIONS})
    for definition in DEFINITIONS.values():
        assert definition["description"].endswith(".")


def test_the_schemas_below_are_strict() -> None:
    file = {"filename": "a.png", "subfolder": "", "type": "output"}
    assert complaints("OutputFile", file) == []
    assert complaints("ImagesOutput", {"images": [{**file, "size": 1}]}) == [
        "$.images[0]: Additional properties are not allowed ('size' was unexpected)"
    ]
    assert complaints("QueueReply", {"queue_running": [[1, "id", {}]], "queue_pending": []}) == [
        "$.queue_running[0]: [1, 'id', {}] is too short"
    ]


@pytest.mark.parametrize("version", traces.VERSIONS)
def test_replies(version: str) -> None:
    for path in FOLDER.joinpath(version).glob("*.json"):
        value = fixture(version, path.stem)
        if path.stem == "node_outputs":
            found = {node: complaints(OUTPUTS[node], output) for node, output in value.items()}
        elif schema := MAPPINGS.get(path.stem):
            found = {key: complaints(schema, item) for key, item in value.items()}
        else:
            found = {path.stem: complaints(REPLIES[path.stem], value)}
        assert not any(found.values()), found


@pytest.mark.parametrize("version", traces.VERSIONS)
def test_history_messages_hold_the_data_of_frames(version: str) -> None:
    messages = [
        message
        for entry in fixture(version, "history").values()
        for message in entry["status"]["messages"]
    ]
    assert {"execution_success", "execution_error", "execution_interrupted"} <= {
        event for event, _ in messages
    }
    for event, data in messages:
        assert complaints(FRAMES[event], data) == []


@pytest.mark.parametrize("version", traces.VERSIONS)
@pytest.mark.parametrize("scenario", traces.SCENARIOS)
def test_recorded_sessions(version: str, scenario: str) -> None:
    trace = traces.load(version, scenario)
    for line in trace.lines:
        if line.get("ws") == "text":
            frame = line["data"]
            assert complaints(FRAMES[frame["type"]], frame["data"]) == [], frame
        elif line.get("http") == "GET /queue":
            assert complaints("QueueReply", line["body"]) == []
        elif line.get("http", "").startswith("GET /history/"):
            for entry in line["body"].values():
                assert complaints("HistoryEntry", entry) == []
    for _, reply in trace.posts():
        # Some of what was tried makes servers fail, in plain text.
        if reply.status in {200, 400}:
            schema = "PromptReply" if reply.status == 200 else "PromptError"
            assert complaints(schema, reply.json()) == [], reply

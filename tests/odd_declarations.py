"""What a server might declare, for property tests: odd names, and all kinds of inputs."""

from __future__ import annotations

import keyword
import math
from typing import Any

from hypothesis import strategies as st

# Characters that identifiers may have in the middle only, that change under normalisation or upper
# case, that no encoding takes, and some that are plain.
ODD_CHARACTERS = (
    "\u00b7\u0345\u037a\u0387\u1369\u00df\u0149\u0130\u0131\ufb01\u00b2\u2460\u0301\ud800"
)
strings = st.text(
    st.sampled_from("aAzZ_09 .+-/|\0日🎨" + ODD_CHARACTERS) | st.characters(), max_size=12
)
names = st.one_of(
    strings,
    st.sampled_from([*keyword.kwlist, "self", "title", "int", "Out", "T", "field", "object"]),
    st.sampled_from(["cast", "Literal", "Node", "slot", "__class__", "__debug__", "COMBO"]),
    st.sampled_from(['"', "'", '"""', "\\", "\n", "\u202e", "#", "{x}", '"""\nimport os\n"""']),
    st.sampled_from(["a", "A", "a b", "a_b", "a.b", "A B", "AB", "a+", "aPlus", "APlus", "a_"]),
)

lists = st.lists(st.sampled_from(["a", "b", 1, True, None]), min_size=1, max_size=5)
types = st.sampled_from(
    ["IMAGE", "int", "a", "A", "T", "my type", "*", "IMAGE,MASK", "IMAGE_OR_MASK", "INT,a", "slot"]
)
numbers = st.sampled_from([None, True, 0, 0.5, -1, 2**64, 10**400, math.nan, -math.inf, "1", "x"])


def spec(
    type_: st.SearchStrategy[Any], **settings: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Declarations of an input."""
    return st.tuples(type_, st.fixed_dictionaries(settings)).map(list)


leaves = st.one_of(
    spec(st.sampled_from(["INT", "STRING"])),
    spec(
        st.sampled_from(["INT", "FLOAT", "BOOLEAN", "MY"]),
        default=numbers,
        min=numbers,
        max=numbers,
    ),
    spec(lists),
    spec(st.lists(numbers, max_size=3), default=numbers),
    spec(st.just("COMBO"), options=lists),
    spec(st.just(["a.png"])),
    spec(types),
)


def sections(specs: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    inputs = st.dictionaries(names, specs, max_size=4)
    return st.fixed_dictionaries({"required": inputs, "optional": inputs})


def growing(specs: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    choices = st.lists(st.fixed_dictionaries({"key": names, "inputs": sections(specs)}), max_size=3)
    items: st.SearchStrategy[dict[str, Any]]
    items = st.fixed_dictionaries({"required": st.fixed_dictionaries({"each": leaves})})
    template = st.fixed_dictionaries(
        {"input": items, "names": st.lists(names, min_size=1, max_size=5)}
    )
    return st.one_of(
        spec(st.just("COMFY_DYNAMICCOMBO_V3"), options=choices),
        spec(
            st.just("COMFY_DYNAMICSLOT_V3"),
            slotType=types | st.just("COMBO"),
            inputs=sections(specs),
        ),
        spec(st.just("COMFY_AUTOGROW_V3"), template=template),
    )


def object_infos(module: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    entry = st.fixed_dictionaries(
        {
            "input": sections(st.recursive(leaves, growing, max_leaves=4)),
            "output": st.lists(st.one_of(types, lists), max_size=4),
            "output_name": st.lists(names, max_size=4),
            "python_module": module,
            "category": names,
        }
    )
    return st.dictionaries(names, entry, max_size=4)


core_and_packs = object_infos(
    st.sampled_from(["nodes", "comfy_api_nodes.x", "custom_nodes.a", "custom_nodes.a-b"])
)

"""From a JSON Schema to TypedDicts, which is what datamodel-code-generator does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypeAlias, cast

from datamodel_code_generator import InputFileType, LiteralType, PythonVersion, generate
from datamodel_code_generator.enums import DataModelType
from datamodel_code_generator.format import Formatter

JSONObject: TypeAlias = dict[str, Any]

LINE_LENGTH = 100

_TEMPLATES = Path(__file__).with_name("templates")


def generate_typed_dicts(schema: JSONObject, *, header: str) -> str:
    """Return the source of a module with a TypedDict for each definition, under its own name.

    Args:
        schema: Its ``$defs`` are objects, each with a description. They keep their order.
        header: What the module begins with.
    """
    source = generate(
        json.dumps(schema),
        input_file_type=InputFileType.JsonSchema,
        output_model_type=DataModelType.TypingTypedDict,
        target_python_version=PythonVersion.PY_311,
        builtin_format_line_length=LINE_LENGTH,
        custom_class_name_generator=str,  # or it would spell them as it likes
        custom_file_header=header,
        custom_template_dir=_TEMPLATES,
        disable_future_imports=True,  # or Python takes the optional keys for required ones
        enum_field_as_literal=LiteralType.All,
        formatters=[Formatter.BUILTIN],
        skip_root_model=True,
        special_field_name_prefix="",  # a key such as _meta is to stay what it is
        use_double_quotes=True,
        use_field_description=True,
        use_schema_description=True,
        use_single_line_docstring=True,
    )
    types = cast("str", source)  # and not several modules, nor a file
    # The generator's formatter takes the comma from the last item of a dictionary.
    types = re.sub(r'^(        ".*[^,])\n    \},$', r"\1,\n    },", types, flags=re.MULTILINE)
    return f"{types}\n"

"""Source laid out the way that ruff would: what fits, what is broken, and what may not get out.

Where ruff is installed it has the last word, on expressions of all sizes.
"""

from __future__ import annotations

import ast
import random
import subprocess
import sys

import pytest

from codegen.layout import (
    Bracket,
    Doc,
    Keyword,
    assignment,
    call,
    docstring,
    flat,
    lay_out,
    literal,
    number,
    quote,
    subscript,
    union,
    width,
)

HOSTILE = [
    "",
    "plain",
    'double "quotes"',
    "it's",
    "both 'and' \"",
    '"""',
    "'''",
    'ends with "',
    "ends with \\",
    "\\",
    '\\"""',
    '\\\\"',
    "\\N{BULLET} \\x41 \\u0041 \\0",
    "line\nbreak\r\nand\rothers\x0b\x0c\x1c\x85\u2028\u2029",
    "tab\tand\0null\x1b[31m",
    "\u202eright to left\u2066\u200b\ufeff",
    "lone \ud800 surrogate \udfff",
    "\U0001f600 \u65e5\u672c\u8a9e e\u0301",
    "{braces} %s $x `x` #no comment",
    '"""; __import__("os").system("x"); """',
    "__import__('os')",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_quoted_strings_are_what_they_were(text: str) -> None:
    source = quote(text)
    assert ast.literal_eval(source) == text
    assert source.isprintable()
    source.encode()


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("a", '"a"'),
        ("it's", '"it\'s"'),
        ('say "a"', "'say \"a\"'"),
        ("'\"", '"\'\\""'),
        ("\u202e\x1b\xa0\U000e0001", r'"\u202e\x1b\xa0\U000e0001"'),
        ("\n\r\t\\", r'"\n\r\t\\"'),
        ("é日", '"é日"'),
    ],
)
def test_quotes(text: str, source: str) -> None:
    assert quote(text) == source


@pytest.mark.parametrize("text", [text for text in HOSTILE if text.strip()])
@pytest.mark.parametrize("filling", ["", " word" * 40, "\n\n\n" + "word " * 30])
def test_docstrings_say_what_they_were_given(text: str, filling: str) -> None:
    for whole in (text + filling, filling + text, text + filling + text):
        source = f"class X:\n    {docstring(whole, indent=4)}\n"
        tree = ast.parse(source)
        [statement] = tree.body
        assert isinstance(statement, ast.ClassDef)
        assert len(statement.body) == 1
        told = ast.get_docstring(statement)
        assert told is not None
        # Python makes no class of a docstring that cannot be encoded.
        assert told.split() == whole.encode(errors="backslashreplace").decode().split()
        assert all(line.isprintable() for line in source.splitlines())


def test_docstrings_are_wrapped() -> None:
    assert docstring(" Short. ", indent=4) == '"""Short."""'
    assert docstring("x" * 90, indent=4) == f'"""{"x" * 90}"""'
    assert docstring("x" * 91, indent=4) == f'"""{"x" * 91}"""'
    assert docstring("x " * 46, indent=4) == f'"""{"x " * 44}x\n    x\n    """'
    assert docstring("One.\n\n\n  - two\n  - three", indent=4) == (
        '"""One.\n\n    - two\n    - three\n    """'
    )
    wrapped = docstring("word " * 50, indent=8)
    assert max(map(len, wrapped.splitlines())) <= 100


@pytest.mark.parametrize(
    ("value", "floating", "source"),
    [
        (0, False, "0"),
        (9999, False, "9999"),
        (10_000, False, "10_000"),
        (-16384, False, "-16_384"),
        (2**31 - 1, False, "2**31 - 1"),
        (2**32, False, "2**32"),
        (2**64 - 1, False, "2**64 - 1"),
        (-(2**63), False, "-(2**63)"),
        (1 - 2**63, False, "-(2**63 - 1)"),
        (2**64 - 2, False, "18_446_744_073_709_551_614"),
        (1.0, True, "1.0"),
        (1, True, "1.0"),
        (0.1, True, "0.1"),
        (-1e-7, True, "-1e-07"),
        (1e20, True, "1e20"),
        (1e300, True, "1e300"),
        (1.8446744073709552e19, True, "2**64"),
    ],
)
def test_numbers(value: float, floating: bool, source: str) -> None:
    assert number(value, floating=floating) == source
    assert eval(source) == value


def test_literals() -> None:
    assert [literal(value) for value in (None, True, "a", 5)] == ["None", "True", '"a"', "5"]
    assert literal(float("nan")) is None
    assert literal(float("inf")) is None
    assert eval(str(literal(10**400))) == 10**400
    assert literal([1]) is None


def test_unions_are_flat_and_without_repetitions() -> None:
    inner = union(["int", "str"])
    assert flat(union([inner, "int", subscript("Out", inner)])) == "int | str | Out[int | str]"
    assert union(["int", "int"]) == "int"


def test_width_counts_columns() -> None:
    assert width("abc") == 3
    assert width("日本") == 4
    assert width("e\u0301") == 1


def test_what_does_not_fit_is_broken_at_its_brackets() -> None:
    options = [quote(f"option {index}") for index in range(8)]
    literals = subscript("Literal", *options)
    assert lay_out(literals, indent=0, before=0) == (
        "Literal[\n" + "".join(f"    {option},\n" for option in options) + "]"
    )
    # A comma would turn the only item of a subscript into a tuple.
    assert lay_out(subscript("Out", literals), indent=0, before=0).endswith("    ]\n]")
    assert lay_out(call("f", quote("x" * 100)), indent=0, before=0).endswith(",\n)")
    assert lay_out(Bracket("f(", ()), indent=0, before=99) == "f()"


# --- ruff's word ----------------------------------------------------------------------------------


def some_name(rng: random.Random) -> str:
    return rng.choice("ABCDEFG") + "x" * rng.choice([1, 3, 8, 15, 25, 30, 50])


def some_type(rng: random.Random, depth: int = 0) -> Doc:
    kind = rng.random()
    if depth > 3 or kind < 0.4:
        return some_name(rng)
    if kind < 0.6:
        return union([some_type(rng, depth + 1) for _ in range(rng.randint(2, 5))])
    if kind < 0.8:
        return subscript(rng.choice(["Out", "Sequence"]), some_type(rng, depth + 1))
    if kind < 0.9:
        lengths = [rng.choice([1, 5, 20, 40, 80]) for _ in range(rng.randint(1, 6))]
        return subscript("Literal", *(quote("é" * length) for length in lengths))
    return subscript("Mapping", some_type(rng, depth + 1), some_type(rng, depth + 1))


def some_value(rng: random.Random) -> Doc:
    items: list[Doc] = [
        Keyword("default=", rng.choice(["None", "20", quote("a" * rng.choice([2, 30, 100]))])),
        Keyword("validator=", call("within", "1", "2**64 - 1")),
        Keyword("alias=", quote("b" * rng.choice([3, 30]))),
        Keyword("metadata=", call("dynamic", *(some_name(rng) for _ in range(3)))),
        Keyword("factory=lambda: ", Bracket("{", (Keyword('"a": ', Bracket("[", ("1", "2"))),))),
    ]
    if rng.random() < 0.5:
        return call("field", *rng.sample(items, rng.randint(1, len(items))))
    return rng.choice(["None", "()", "True", "12_345", "1.5", quote("it's"), quote("a" * 60)])


@pytest.mark.parametrize("seed", range(5))
def test_ruff_has_nothing_left_to_do(seed: int) -> None:
    rng = random.Random(seed)
    fields = [
        assignment(
            "k" * rng.choice([1, 5, 15, 30]),
            union([some_type(rng), "int"]),
            some_value(rng) if rng.random() < 0.7 else None,
            indent=4,
        )
        for _ in range(150)
    ]
    texts = [
        docstring(f"{rng.choice(HOSTILE)} {'word ' * rng.randint(0, 40)}x", indent=4)
        for _ in range(50)
    ]
    source = "class X:\n" + "".join(f"    {line}\n" for line in [*fields, *texts])
    process = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length=100", "-"],
        input=source.encode(),
        capture_output=True,
        check=True,
    )
    assert process.stdout.decode().splitlines() == source.splitlines()

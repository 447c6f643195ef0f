"""Writes ../golden/lax_rules.json: what pydantic 2.10.6 makes of many small requests, in lax mode.

It is the measure of `contract::Rules::Lax`. A Python consumer reads the body with the `json` module and makes the
model from the members, so that is what happens here. Run it again after adding a case:

    python3 -m venv v && v/bin/pip install pydantic==2.10.6
    v/bin/python crates/tidings-core/tests/python/lax_rules.py

Every class below has a twin of the same name in tests/it/rules.rs. Where Tidings answers otherwise on purpose,
`differs` says what it answers and why; the table carries both.
"""

import datetime
import enum
import json
import pathlib
import typing
import uuid

import pydantic
import pydantic_core
from pydantic import BaseModel, ConfigDict, Field

MAX = 2**63 - 1


class Colour(enum.Enum):
    red = "red"
    green = "green"
    blue = "blue"


class Site(BaseModel):
    domain: str
    port: int = 80


def wrap(name: str, annotation: typing.Any, **options: typing.Any) -> type[BaseModel]:
    """A model with one member, `value`."""
    return pydantic.create_model(name, value=(annotation, Field(**options)))


class Several(BaseModel):
    name: str
    count: int
    ratio: float
    tags: list[str]
    site: Site
    colour: Colour = Colour.red
    note: typing.Optional[str] = None
    enabled: bool = True


class Forbidding(BaseModel):
    model_config = ConfigDict(extra="forbid")
    value: int


class Outer(BaseModel):
    site: Site
    others: list[Site] = []
    by_name: dict[str, Site] = {}


class Password(BaseModel):
    password: str
    length: int


class Token(BaseModel):
    token: int
    kind: str


class Either(BaseModel):
    value: typing.Union[Password, Token]


MODELS = [
    wrap("Int", int),
    wrap("Byte", int, ge=0, le=255),
    wrap("Float", float),
    wrap("Bool", bool),
    wrap("Str", str),
    wrap("Nothing", type(None)),
    wrap("Enumerated", Colour),
    wrap("Chosen", typing.Literal["a", "b"]),
    wrap("Single", typing.Literal["only"]),
    wrap("OptionalInt", typing.Optional[int], default=None),
    wrap("RequiredOptional", typing.Optional[int]),
    wrap("DefaultInt", int, default=7),
    wrap("Ints", list[int]),
    wrap("FewInts", list[int], min_length=1, max_length=3),
    wrap("IntSet", set[int]),
    wrap("FewSet", set[int], min_length=2, max_length=3),
    wrap("IntsByName", dict[str, int]),
    wrap("StrsByInt", dict[int, str]),
    wrap("Pair", tuple[int, str]),
    wrap("IntOrStr", typing.Union[int, str]),
    wrap("BoolOrFloat", typing.Union[bool, float]),
    wrap("IntOrInts", typing.Union[int, list[int]]),
    wrap("Greater", int, gt=2),
    wrap("AtLeast", int, ge=2),
    wrap("Less", int, lt=2),
    wrap("AtMost", int, le=2),
    wrap("Between", int, ge=1, le=10, multiple_of=5),
    wrap("FloatGreater", float, gt=0.5),
    wrap("FloatBetween", float, ge=0, le=2.5),
    wrap("FloatMultiple", float, multiple_of=0.5),
    wrap("ShortStr", str, min_length=2, max_length=4),
    wrap("OneChar", str, min_length=1, max_length=1),
    wrap("Lowercase", str, pattern="^[a-z]+$"),
    wrap("Identified", uuid.UUID),
    wrap("Timed", datetime.datetime),
    wrap("Anything", typing.Any),
    Several,
    Forbidding,
    Outer,
    Either,
]

def split(text: str) -> list[str]:
    """The JSON values of a text; spaces inside strings do not part them."""
    decoder, values, at = json.JSONDecoder(), [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        _, end = decoder.raw_decode(text, at)
        values.append(text[at:end])
        at = end
    return values


# Something of each kind, for every contract.
ANY = split(r'null true 3 3.0 3.5 "" "3" "x" "\ud800" [] [1] {} {"a":1}')
NUMBERS = split(
    r"""
false 0 1 2 -1 255 256 -0.0 1e3 1E400 -1e400 1e-400 0.0 1.0 2.0 0.5 NaN Infinity -Infinity
9007199254740993 9007199254740993.0 1e18 9.3e18 1e20 9223372036854775807 9223372036854775808 -9223372036854775808
-9223372036854775809 18446744073709551615 18446744073709551616 1000000000000000000000000000000
"""
)
NUMERALS = split(
    r"""
" " " 3 " "\n3\t" "\u00a03" "\u20033" "+3" "-3" "--3" "+-3" "- 3" "3.0" "3.00" "3." "3.0." "3.01" "3.5" ".5" ".0" "-.0" "."
"1e3" "1E3" "1e400" "1_000" "1_000.0" "1_000.5" "1__0" "_1" "1_" "-_1" "1_0.0_0" "0x10" "0b1" "\uff13" "\u0663" "007" "-007"
"00" "-0" "+0" "-0.0" "0_0" "0_1" "9223372036854775807" "9223372036854775808" "-9223372036854775808"
"1000000000000000000000000000000" "1000000000000000000000000000000.0" "3L" "3f" "3 4" "1,000" "1e" "e3" "1e+3" "1.5e-3" "1_0e1"
"+1.5" "++1" "true" "nan" "NaN" "-nan" "+nan" "inf" "-inf" "+inf" "Inf" "Infinity" "infinity" "INFINITY" "-Infinity" "infinit" "null"
"""
)
TRUTHS = split(
    r"""
"true" "True" "TRUE" "tRuE" " true" "true " "yes" "YES" "y" "Y" "no" "n" "N" "on" "off" "oN" "t" "f" "F" "1" "0" "2" "1.0" "0.0" "00"
"false" "False" "enabled" "None"
"""
)
STRINGS = split(
    r"""
"a" "ab" "abc" "abcd" "abcde" "\u00e9\u00e9\u00e9\u00e9" "\u00e9\u00e9\u00e9\u00e9\u00e9" "\ud83d\ude00" "A1" "abc\n" "red" "Red" "only" "\ud800x" "b" "\u0000"
"""
)
LIMITS = split('false 0 1 2 -1 5 10 11 255 256 -0.0 0.5 2.5 1E400 -1e400 NaN 1e18 1000.0000001 "2" "2.5" "5" "-1"')
IDENTITIES = split(
    r"""
"550e8400-e29b-41d4-a716-446655440000" "550e8400e29b41d4a716446655440000" "{550e8400-e29b-41d4-a716-446655440000}"
"urn:uuid:550e8400-e29b-41d4-a716-446655440000" "550E8400-E29B-41D4-A716-446655440000" "550e8400" "550e8400-e29b-41d4-a716-44665544000g"
"""
)
MOMENTS = split(
    r"""
"2026-11-20T10:00:00Z" "2026-11-20T10:00:00.5+02:00" "2026-11-20 10:00:00Z" "2026-13-20T10:00:00Z" "2026-11-20T10:00:00" "2026-11-20" "noon"
0 -1 1.5 1795168800 1795168800000 1795168800.25 1e400 NaN 1e18 99999999999999999
"""
)

LISTS = r"""
null "1" 1 {} [] [1] [1,2,3] [1,2,3,4] ["1","\u00202\u0020",3.0,true] ["a"] [1,"a",null,2.5] ["a","b","c","d","e"] [[1]] [null,{}] {"0":1} true "" [1,1] [1,"1"] [2,1,2] [1,2,"x",4]
""".split()

MAPS = r"""
null [] [1] "a" 1 {} {"a":1} {"a":"1"} {"a":"x","b":null,"c":3} {"1":"a"} {"1":"a","x":"b"} {"1":1} {"1.0":"a"} {"\u00201":"a"} {"a":1,"a":"2"} {"a":1,"a":"x"} {"-1":"a"} {"":1}
""".split()

PAIRS = r"""
null [] [1] [1,"a"] ["1","a"] ["x",1] [1,"a",2] {} "ab" [null,null] ["x"]
""".split()

UNIONS = r"""
null true 1 1.0 1.5 "1" "x" "1.5" "yes" [] {} ["1"] [1] ["x"] {"a":1}
""".split()

SEVERAL = r"""
{}
{"name":"n","count":"1","ratio":"0.5","tags":[],"site":{"domain":"d"}}
{"name":"n","count":"1","ratio":1,"tags":["a"],"site":{"domain":"d","port":"81"},"colour":"blue","note":"x","enabled":"off","unknown":[1]}
{"name":1,"count":"x","ratio":"y","tags":[1,"a",null],"site":{"domain":1,"port":"x"},"colour":"pink","note":1,"enabled":"maybe"}
{"name":null,"count":null,"ratio":null,"tags":null,"site":null,"colour":null,"note":null,"enabled":null}
{"enabled":"maybe","site":{},"tags":{},"ratio":[],"count":2.5,"name":{}}
{"name":"n","count":1,"ratio":1,"tags":"a","site":"d"}
{"name":"n","count":1,"ratio":1,"tags":"a","site":[]}
{"name":"n","name":"m","count":1,"count":"2","ratio":1,"tags":[],"site":{"domain":"d","domain":"e"}}
{"name":"\ud800","count":1,"ratio":NaN,"tags":["\udc00"],"site":{"domain":"d"},"other":"\ud800"}
""".strip().split("\n")

OUTER = r"""
{"site":{"domain":"d"}}
{"site":{"domain":"d"},"others":[{"domain":"a"},{"domain":1},{},{"domain":"b","port":"x"},3],"by_name":{"x":{"domain":"y","port":"1"},"z":{}}}
{"site":{"domain":"d","port":null},"others":{},"by_name":[]}
{"others":[[]],"by_name":{"a.b":{}}}
""".strip().split("\n")

FORBIDDING = r"""
{"value":1}
{"value":"1","more":2}
{"more":2,"value":"x","and":3}
{"more":2}
""".strip().split("\n")

EITHER = r"""
{"value":{"password":"p","length":"8"}}
{"value":{"token":"5","kind":"k"}}
{"value":{"token":"x"}}
{"value":3}
{"value":{"password":"p","length":8,"token":5,"kind":"k"}}
""".strip().split("\n")

WHOLE = {"Several": SEVERAL, "Outer": OUTER, "Forbidding": FORBIDDING, "Either": EITHER}
MEMBERS = {
    "Int": ANY + NUMBERS + NUMERALS,
    "Byte": ANY + NUMBERS,
    "Float": ANY + NUMBERS + NUMERALS,
    "Bool": ANY + NUMBERS + TRUTHS,
    "Str": ANY + STRINGS,
    "Enumerated": ANY + STRINGS,
    "Chosen": ANY + STRINGS,
    "Single": ANY + STRINGS,
    "OptionalInt": ANY,
    "RequiredOptional": ANY,
    "DefaultInt": ANY,
    "Nothing": ANY,
    "Identified": ANY + IDENTITIES,
    "Timed": ANY + MOMENTS,
    "ShortStr": ANY + STRINGS,
    "OneChar": ANY + STRINGS,
    "Lowercase": ANY + STRINGS,
    "Ints": LISTS,
    "FewInts": LISTS,
    "IntSet": LISTS,
    "FewSet": LISTS,
    "IntsByName": MAPS,
    "StrsByInt": MAPS,
    "Pair": PAIRS,
    "IntOrStr": UNIONS,
    "BoolOrFloat": UNIONS,
    "IntOrInts": UNIONS,
    "Anything": ["null", "true", "1", "-0.5", "NaN", '"a"', '[1,{"a":null}]', '{"a":1,"a":2}'],
}

# Texts that are documents or not; pydantic never sees them, the `json` module of Python does.
DOCUMENTS = [
    '', ' ', '{', '{}', '{"value"', '{"value":', '{"value":1', '{"value":1,', '{"value":1,}', '{"value":1}}', '{"value":1} x',
    ' \t\r\n{ "value" : 1 } \n', "{'value':1}", '{value:1}', '{"value":01}', '{"value":-}', '{"value":1.}', '{"value":.5}',
    '{"value":+1}', '{"value":1e}', '{"value":-0}', '{"value":0x1}', '{"value":nan}', '{"value":-NaN}', '{"value":+Infinity}',
    '{"value":tru}', '{"value":True}', '{"value":1}\x00', '{"value":"\x01"}', '{"value":"\n"}', '{"value":"\\x"}', '{"value":"\\u12"}',
    '{"value":"\\ud83d\\ude00"}', '{"value":"\\ud83d"}', '{"value":"a}', '{"value":1 "b":2}', '{"value" 1}', '{1:2}', '{"value":[1,]}',
    '{"value":[1 2]}', '{"value":[1}', '{,}', '[,]', '/* */{"value":1}', '\ufeff{"value":1}', '[]', '[1]', '3', '"x"', 'null', 'true',
    'NaN', '{"value":' + '[' * 100 + ']' * 100 + '}', '\u00a0{"value":1}', '{"value":1e5}', '{"value":"\u007f\u2028"}',
]


TORN = {
    "message": "Input should be a valid string, unable to parse raw data as a unicode string",
    "type": "string_unicode",
}


def differs(model: str, text: str, theirs: dict[str, typing.Any]) -> dict[str, typing.Any]:
    """What Tidings answers instead, and why; nothing where it answers the same."""
    errors = theirs.get("errors", [])
    codes = {error["type"] for error in errors}
    value = theirs.get("value", {}).get("value")
    if "unwritable" in theirs:
        places = [["name"], ["tags", 0]] if model == "Several" else [["value"]]
        return instead(
            "a string of Rust cannot hold half a surrogate pair, and Python cannot write one again",
            errors=[{"location": place, **TORN} for place in places],
        )
    if isinstance(value, int) and not isinstance(value, bool) and not -MAX - 1 <= value <= MAX:
        code, words, limit = ("less_than_equal", "less", MAX) if value > 0 else ("greater_than_equal", "greater", -MAX - 1)
        message = f"Input should be {words} than or equal to {limit}"
        return instead(
            "the Rust type has 64 bits, the Python type has no limit",
            errors=[{"location": ["value"], "message": message, "type": code}],
        )
    if codes & {"uuid_parsing", "datetime_parsing", "datetime_from_date_parsing"}:
        return instead(
            "what comes after the comma quotes the value or is about the parser",
            errors=[{**error, "message": error["message"].split(", ")[0]} for error in errors],
        )
    if "literal_error" in codes:
        return instead(
            "Rust has one type for an enumeration and a choice of literals",
            errors=[{**error, "type": "enum"} for error in errors],
        )
    if model == "RequiredOptional" and text == "{}":
        return instead("serde takes an absent member for none", value={"value": None})
    if model == "Timed" and isinstance(value, str) and not value.endswith("Z") and "+" not in value:
        return instead(
            "the Rust type is a moment: a time of day without an offset is none",
            errors=[{"location": ["value"], "message": NAIVE, "type": "value_error"}],
        )
    return {}


NAIVE = "Value error, not a moment"


def instead(why: str, **ours: typing.Any) -> dict[str, typing.Any]:
    return {"differs": {**ours, "why": why}}


def outcome(model: type[BaseModel], text: str) -> dict[str, typing.Any]:
    try:
        made = model(**json.loads(text))
    except pydantic.ValidationError as error:
        return {
            "errors": [
                {"location": list(e["loc"]), "message": e["msg"], "type": e["type"]}
                for e in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        }
    try:
        value = json.loads(made.model_dump_json())
    except pydantic_core.PydanticSerializationError:
        return {"unwritable": "accepted, and cannot be written again: half of a surrogate pair"}
    kept = getattr(made, "value", None)
    if isinstance(kept, set):
        value["value"].sort()
    if isinstance(kept, datetime.datetime) and kept.tzinfo:
        # The twin writes moments in UTC.
        utc = kept.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        value["value"] = utc.isoformat() + "Z"
    return {"value": value}


def cases(model: type[BaseModel]) -> list[dict[str, typing.Any]]:
    name = model.__name__
    if name in WHOLE:
        texts = WHOLE[name]
    else:
        members = MEMBERS.get(name, ANY + LIMITS)
        texts = ["{}"] + ['{"value":' + member + "}" for member in members]
    result = []
    for text in texts:
        theirs = outcome(model, text)
        result.append({"input": text, **theirs, **differs(name, text, theirs)})
    return result


def read(text: str) -> bool:
    try:
        json.loads(text.encode())
    except ValueError:
        return False
    return True


def main() -> None:
    table = {
        "made_with": {"pydantic": pydantic.VERSION, "pydantic_core": pydantic_core.__version__},
        "documents": [{"text": text, "read": read(text)} for text in DOCUMENTS],
        "contracts": {model.__name__: cases(model) for model in MODELS},
    }
    path = pathlib.Path(__file__).parent.parent / "golden" / "lax_rules.json"
    path.write_text(compact(table) + "\n")


def compact(table: dict[str, typing.Any]) -> str:
    """One case a line, so that a change of one case is a change of one line."""

    def rows(entries: list[typing.Any]) -> str:
        return "[\n" + ",\n".join("  " + json.dumps(entry) for entry in entries) + "\n ]"

    contracts = ",\n".join(f' "{name}": {rows(entries)}' for name, entries in table["contracts"].items())
    return (
        '{"made_with": ' + json.dumps(table["made_with"]) + ',\n"documents": ' + rows(table["documents"])
        + ',\n"contracts": {\n' + contracts + "\n}}"
    )


if __name__ == "__main__":
    main()

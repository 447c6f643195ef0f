"""Writes ../it/paths.json: what the path types of the Python consumer make of texts.

    python3 -m venv v && v/bin/pip install python3-cyberfusion-rabbitmq-consumer==3.1.1
    v/bin/python conventions/tidings-rpc/tests/python/path_vectors.py
"""

import json
import pathlib

import pydantic
from cyberfusion.RabbitMQConsumer.pydantic_types import AbsolutePath, RelativePath

TEXTS = [
    "", "/", "//", "///", "//a", "///a", "a", "/a", "./a", "a/", "/a/", ".", "..", "/.", "/..", "/../a", "a/..", "a/../..", "../a/../b",
    "/a//b/./c/../d/", "/a/../..//b", "a//b", " ", " /a", "/ a", "~", "~/a", "a\\b", "/a\u0000b", "\u00e9/\u00e8", ". ", "...", "/...",
    "x" * 255, "x" * 256, "/" + "x" * 255, "/" + "\u00e9" * 255, "/" + "\u00e9" * 256, "/" + "x" * 256, "/a" * 2048, "/a" * 2048 + "b",
    "a/" * 2048, "a/" * 2048 + "b", "/../" + "x" * 300, "/" * 4096, "/" * 4097, "//" + "x" * 300,
]


def outcome(kind: type, text: str) -> dict[str, str]:
    try:
        return {"path": pydantic.TypeAdapter(kind).validate_python(text)}
    except pydantic.ValidationError as error:
        [mistake] = error.errors()
        return {"error": mistake["msg"], "type": mistake["type"]}


vectors = [
    {"text": text, "absolute": outcome(AbsolutePath, text), "relative": outcome(RelativePath, text)} for text in TEXTS
]
path = pathlib.Path(__file__).parent.parent / "it" / "paths.json"
path.write_text("[\n" + ",\n".join(json.dumps(vector) for vector in vectors) + "\n]\n")

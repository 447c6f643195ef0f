"""The other side of the wire: the real petisco makes messages, reads ours and judges how we read its.

Bodies travel as hexadecimal text, one per line. Needs no broker.
"""

import json
import math
import random
import struct
import sys
from datetime import datetime, timezone

from petisco import Command, DomainEvent, Uuid
from pydantic import BaseModel

TEXT = "abz 09_-./\\\"'\b\t\n\r\x01\x7f\u00e9\u00f1\u20ac\u2028\ufffd\U0001f600"


class Address(BaseModel):
    street: str
    number: int


class UserCreated(DomainEvent):
    user_id: Uuid
    note: str | None = None
    paid: bool = False


class PersistUser(Command):
    user_id: Uuid
    seen_at: datetime
    address: Address

    class Config:
        version = 3


def text(rng):
    return "".join(rng.choice(TEXT) for _ in range(rng.randrange(12)))


def number(rng):
    pick = rng.randrange(5)
    if pick == 0:
        return rng.randrange(-5, 5)
    if pick == 1:
        return rng.randrange(-(2**130), 2**130)
    if pick == 2:
        return rng.randrange(-(2**64), 2**64)
    if pick == 3:
        return rng.choice([0.0, -0.0, 1.0, 1e15, 1e16, 1e21, 1e-4, 1e-5, 1e-7, 5e-324, 2.0**53])
    while True:
        value = struct.unpack("<d", rng.randbytes(8))[0]
        if math.isfinite(value):
            return value


def value(rng, depth=0):
    pick = rng.randrange(8 if depth < 4 else 5)
    if pick < 2:
        return text(rng)
    if pick < 4:
        return number(rng)
    if pick == 4:
        return rng.choice([None, True, False])
    if pick < 7:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {text(rng): value(rng, depth + 1) for _ in range(rng.randrange(4))}


def attributes(rng):
    # The prefix keeps clear of the names that break petisco's classes.
    return {"k" + text(rng): value(rng) for _ in range(rng.randrange(6))}


def rounded(meta):
    """Without integers beyond 64 bits, which `publish` reads as floats in `meta`."""
    if isinstance(meta, dict):
        return {name: rounded(inner) for name, inner in meta.items()}
    if isinstance(meta, list):
        return [rounded(inner) for inner in meta]
    if isinstance(meta, int) and not -(2**63) <= meta < 2**64:
        return 0
    return meta


def moment(rng):
    seconds = rng.randrange(-(2**34), 2**36)
    return datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=rng.randrange(10**6))


def lines(rng):
    """One line for our `publish`."""
    line = {"type": rng.choice(["domain_event", "command"]), "name": "some." + rng.choice("abc")}
    line["version"] = rng.randrange(1, 100)
    line["attributes"] = attributes(rng)
    line["meta"] = rounded(attributes(rng))
    if rng.random() < 0.5:
        line["id"] = str(Uuid.v4().value)
    if rng.random() < 0.5:
        line["occurred_on"] = moment(rng).replace(year=rng.randrange(1000, 9999)).strftime("%Y-%m-%d %H:%M:%S.%f")
    return json.dumps(line, ensure_ascii=rng.random() < 0.5)


def messages(rng):
    """One body as petisco publishes it."""
    if rng.random() < 0.5:
        message = UserCreated(user_id=Uuid.v4(), note=text(rng), **attributes(rng))
    else:
        address = Address(street=text(rng), number=rng.randrange(-(2**70), 2**70))
        message = PersistUser(user_id=Uuid.v4(), seen_at=moment(rng), address=address)
    message.update_meta(attributes(rng))
    return message.format_json().encode().hex()


def again(body):
    """The body as petisco formats it after reading it."""
    return DomainEvent.from_format(bytes.fromhex(body)).format_json().encode().hex()


def without_nan(value):
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_nan(inner) for inner in value]
    return value


def content(body, formatted):
    """What must be equal: not what was made up because the body does not say it, nor how years are padded."""
    sent = json.loads(body)["data"]
    data = without_nan(formatted["data"])
    for member in ("id", "occurred_on"):
        if not sent.get(member):
            data[member] = None
        elif member == "occurred_on":
            data[member] = data[member].lstrip("0")
    return json.dumps(data)


def judge(line):
    """Compares how we have read a body with how petisco reads it; None if it is the same."""
    case = json.loads(line)
    body, ours = bytes.fromhex(case["body"]), case["ours"]
    try:
        theirs = DomainEvent.from_format(body).format()
    except Exception as error:  # petisco raises whatever comes
        return None if ours is None else f"{body!r}: petisco refuses it ({error!r}), we read {ours}"
    if ours is None:
        return f"{body!r}: we refuse it, petisco reads {theirs}"
    theirs, ours = content(body, theirs), content(body, ours)
    return None if theirs == ours else f"{body!r}: petisco reads {theirs}, we read {ours}"


def main():
    action = sys.argv[1]
    if action in ("lines", "messages"):
        rng = random.Random(int(sys.argv[2]))
        make = {"lines": lines, "messages": messages}[action]
        for _ in range(int(sys.argv[3])):
            print(make(rng))
        return
    for line in sys.stdin:
        answer = {"again": again, "judge": judge}[action](line.strip())
        if answer is not None:
            print(answer)


main()

"""Writes the Fernet vectors that the tests of this crate check.

Run it with the `cryptography` that deployed consumers pin:

    python3 -m venv v && v/bin/pip install cryptography==43.0.0
    v/bin/python fernet_vectors.py > ../it/fernet.json

Each vector is a text as it may stand in a request, and what the reference makes of it: the bytes it decrypts to, or
nothing. Everything but the vectors "made at random" is the same on every run.
"""

import base64
import json
import sys

from cryptography.fernet import Fernet, InvalidToken

KEYS = [
    "ZycOtLSOfBSztarunksiEdAjYklBvQ82Jgq0_7Vd7jg=",
    base64.urlsafe_b64encode(bytes(range(32))).decode(),
]
NOW = 1_790_000_000
TEXTS = ["", "secret", "sécret", "\U0001f511 \"quoted\" \\ \n", "x" * 15, "x" * 16, "x" * 17, "long " * 400]


def token(key, data, at=NOW, iv=bytes(range(16))):
    """A token whose every byte is chosen."""
    return Fernet(key)._encrypt_from_parts(data, at, iv).decode()


def reading(key, text):
    """What a deployed consumer makes of a text: it hands the reader bytes, and has no limit of age."""
    try:
        return Fernet(key).decrypt(text.encode()).hex()
    except InvalidToken:
        return None


def forged(key, data):
    """A token whose seal is right and whose contents are not padded as they must be."""
    from cryptography.hazmat.primitives import hashes, hmac

    raw = base64.urlsafe_b64decode(key)
    body = b"\x80" + NOW.to_bytes(8, "big") + bytes(16) + data
    seal = hmac.HMAC(raw[:16], hashes.SHA256())
    seal.update(body)
    return base64.urlsafe_b64encode(body + seal.finalize()).decode()


def texts():
    first, second = KEYS
    for text in TEXTS:
        yield "made at a fixed time", token(first, text.encode())
        yield "made at random", Fernet(first).encrypt(text.encode()).decode()
    good = token(first, b"secret")
    yield "of another key", token(second, b"secret")
    yield "from 1970", token(first, b"secret", at=0)
    yield "from far ahead", token(first, b"secret", at=NOW * 2)
    yield "from the end of time", token(first, b"secret", at=2**64 - 1)
    yield "plaintext is not UTF-8", token(first, b"\xff\xfe")
    yield "tampered at the end", good[:-6] + ("A" if good[-6] != "A" else "B") + good[-5:]
    yield "tampered in the middle", good[:40] + ("A" if good[40] != "A" else "B") + good[41:]
    yield "other version", base64.urlsafe_b64encode(b"\x81" + base64.urlsafe_b64decode(good)[1:]).decode()
    yield "cut short", good[:-4]
    yield "padding is missing", good.rstrip("=")
    yield "padding is doubled", good + "=="
    yield "followed by something", good + "AAAA"
    yield "with a line break at its end", good + "\n"
    yield "with spaces around", "  " + good + " "
    yield "folded", good[:50] + "\r\n" + good[50:]
    yield "with a foreign letter in it", good[:50] + "é" + good[50:]
    yield "in the other alphabet", token(first, b"secret", iv=b"\xff" * 16).replace("-", "+").replace("_", "/")
    yield "contents are not whole blocks", forged(first, b"0123456789")
    yield "contents are empty", forged(first, b"")
    yield "contents are padded wrongly", forged(first, bytes(16))
    yield "nothing", ""
    yield "one letter", "g"
    yield "the version alone", "gA=="
    yield "version and time", base64.urlsafe_b64encode(b"\x80" + bytes(8)).decode()
    yield "too short for a seal", base64.urlsafe_b64encode(b"\x80" + bytes(8 + 16 + 16)).decode()
    yield "plain text", "correct horse battery staple"
    yield "long plain text", "good passwords are long; " * 10


def main():
    vectors = [
        {"what": what, "text": text, "reads": [reading(key, text) for key in KEYS]} for what, text in texts()
    ]
    json.dump({"keys": KEYS, "now": NOW, "vectors": vectors}, sys.stdout, indent=1, ensure_ascii=True)
    print()


main()

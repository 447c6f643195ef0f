"""The deployed RPC client, told what to call by lines of JSON and answering with lines of JSON.

A line has the members `port`, `virtual_host`, `queue`, `exchange`, `body` and, if wanted, `timeout`, `mandatory` and
`content_type`; a list of such objects is called at the same time, a thread for each. The answer has `reply` (the bytes
as text), or `failed` (the name of the exception), and `seconds`.
"""

import json
import sys
import threading
import time

from cyberfusion.RPCClient import RPCClient
from cyberfusion.RPCClient.containers import RabbitMQCredentials


def call(order):
    """Makes one call, with a connection of its own as the client has it."""
    started = time.monotonic()
    try:
        credentials = RabbitMQCredentials(
            ssl_enabled=False,
            port=order["port"],
            host="127.0.0.1",
            username=order.get("username", "guest"),
            password=order.get("password", "guest"),
            virtual_host_name=order["virtual_host"],
        )
        client = RPCClient(
            credentials,
            queue_name=order["queue"],
            exchange_name=order["exchange"],
            timeout=order.get("timeout", 20),
        )
        options = {"mandatory": order.get("mandatory", False)}
        if "content_type" in order:
            options["content_type"] = order["content_type"]
        answer = {"reply": client.request(order["body"], **options).decode()}
    except Exception as error:  # Whatever it raises is what the caller meets.
        answer = {"failed": type(error).__name__}
    answer["seconds"] = time.monotonic() - started
    return answer


def all_at_once(orders):
    """Makes these calls at the same time; the answers in the order of the calls."""
    answers = [None] * len(orders)

    def one(index, order):
        answers[index] = call(order)

    threads = [
        threading.Thread(target=one, args=pair) for pair in enumerate(orders)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


for line in sys.stdin:
    asked = json.loads(line)
    answered = all_at_once(asked) if isinstance(asked, list) else call(asked)
    print(json.dumps(answered), flush=True)

"""The deployed RPC client and consumer: measures calls, as many at a time as it is told.

Arguments: port, virtual host, in flight, calls, the folder of handlers. Prints an outcome as JSON.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time

import pika
from cyberfusion.RPCClient import RPCClient
from cyberfusion.RPCClient.containers import RabbitMQCredentials

QUEUE = "tidings-bench-python"
EXCHANGE = "bench_echo"


def configuration(port, virtual_host):
    """The consumer's file; JSON is YAML."""
    return {
        "server": {
            "host": "127.0.0.1",
            "port": port,
            "username": "guest",
            "password": "guest",
            "ssl": False,
        },
        "virtual_hosts": {
            virtual_host: {
                "queue": QUEUE,
                "fernet_key": None,
                "max_simultaneous_requests": 64,
                "exchanges": {EXCHANGE: {"type": "direct"}},
            }
        },
    }


def wait_for_consumer(port, virtual_host):
    """Returns once somebody consumes the queue."""
    parameters = pika.ConnectionParameters(
        "127.0.0.1", port, virtual_host, pika.PlainCredentials("guest", "guest")
    )
    connection = pika.BlockingConnection(parameters)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        channel = connection.channel()
        try:
            if channel.queue_declare(QUEUE, passive=True).method.consumer_count:
                connection.close()
                return
        except pika.exceptions.ChannelClosedByBroker:
            pass
        time.sleep(0.05)
    raise SystemExit("the consumer does not consume")


def call(port, virtual_host, number):
    """One call; the client has a connection for each."""
    credentials = RabbitMQCredentials(
        False, port, "127.0.0.1", "guest", "guest", virtual_host
    )
    client = RPCClient(credentials, queue_name=QUEUE, exchange_name=EXCHANGE, timeout=30)
    reply = json.loads(client.request({"text": "x" * 240, "number": number}))
    if not reply["success"]:
        raise SystemExit(f"the call failed: {reply}")


def measure(port, virtual_host, in_flight, calls):
    """Makes the calls and says how long they took."""
    took, lock, left = [], threading.Lock(), [calls]

    def caller():
        while True:
            with lock:
                if not left[0]:
                    return
                left[0] -= 1
                number = left[0]
            begun = time.monotonic()
            call(port, virtual_host, number)
            took.append(time.monotonic() - begun)

    begun = time.monotonic()
    threads = [threading.Thread(target=caller) for _ in range(in_flight)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - begun, sorted(took)


def cpu():
    """Of this process and the consumer, once it has ended."""
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(who) for who in both]
    return sum(it.ru_utime + it.ru_stime for it in used)


def main():
    """Starts the consumer, makes the calls, prints the outcome."""
    port, virtual_host, in_flight, calls, handlers = sys.argv[1:]
    port, in_flight, calls = int(port), int(in_flight), int(calls)
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump(configuration(port, virtual_host), file)
        file.flush()
        consumer = subprocess.Popen(
            [
                os.path.join(os.path.dirname(sys.executable), "rabbitmq-consumer"),
                f"--virtual-host-name={virtual_host}",
                f"--config-file-path={file.name}",
            ],
            env={**os.environ, "PYTHONPATH": handlers},
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_for_consumer(port, virtual_host)
            seconds, took = measure(port, virtual_host, in_flight, calls)
        finally:
            consumer.terminate()
            consumer.wait()
    at = lambda percent: took[len(took) * percent // 100] * 1e3
    outcome = {
        "calls": calls,
        "seconds": seconds,
        "cpu_seconds": cpu(),
        "took": {"p50": at(50), "p99": at(99)},
        "memory": [],
    }
    print(json.dumps(outcome))


main()

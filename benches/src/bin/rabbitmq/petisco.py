"""Publishes or consumes with the real petisco, as its users do, and prints what it took as one line of JSON.

Its host and password come from the variables that petisco reads. Arguments: `publish` or `consume`, how many messages,
and the size of a body.
"""

import json
import os
import resource
import sys
import threading
import time

from meiga import isSuccess
from petisco import DomainEvent, DomainEventSubscriber
from petisco.extra.rabbitmq import (
    QueueConfig,
    RabbitMqDomainEventBus,
    RabbitMqMessageConfigurer,
    RabbitMqMessageConsumer,
)

OWNER = ("tidings_bench", "petisco")
# Nothing may expire while it waits for its turn.
MINUTES = 600_000

work, messages, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
done = threading.Event()


class OrderPlaced(DomainEvent):
    text: str


class Count(DomainEventSubscriber):
    handled = 0

    def subscribed_to(self):
        return [OrderPlaced]

    def handle(self, domain_event):
        Count.handled += 1
        if Count.handled == messages:
            done.set()
        return isSuccess


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measured(run):
    before, start = cpu(), time.monotonic()
    confirmed = sorted(run() or [])
    seconds, used = time.monotonic() - start, cpu() - before
    after = None
    if confirmed:
        at = lambda percent: confirmed[len(confirmed) * percent // 100] * 1e3
        after = {"p50": at(50), "p99": at(99)}
    print(json.dumps({"messages": messages, "seconds": seconds, "cpu_seconds": used, "confirmed_after": after}), flush=True)


def event():
    """Padded, so that the body has the size that all have here."""
    empty = len(OrderPlaced(text="").format_json())
    return OrderPlaced(text="x" * (size - empty))


def publish():
    """One after the other: that is how its bus works."""
    bus, took = RabbitMqDomainEventBus(*OWNER), []
    for _ in range(messages):
        start = time.monotonic()
        bus.publish(event())
        took.append(time.monotonic() - start)
    return took


def consume():
    consumer = RabbitMqMessageConsumer(*OWNER, max_retries=5)
    consumer.add_subscribers([Count])
    consumer.start()
    done.wait()


queues = QueueConfig.from_dict({}, default_retry_ttl=MINUTES, default_main_ttl=MINUTES)
configurer = RabbitMqMessageConfigurer(*OWNER, queue_config=queues, use_store_queues=False)
configurer.configure_subscribers([Count], clear_subscriber_before=True)
if work == "consume":
    publish()
    measured(consume)
else:
    measured(publish)
configurer.clear()
# Its threads are no daemons.
os._exit(0)

"""A service of the real petisco on RabbitMQ.

`service.py desk` reads orders from standard input, one JSON object per line, and answers each with one line.
`service.py consume OPTIONS` attaches subscribers and prints one line for each call of a handler.

Everything uses petisco where petisco can do it, and its own client (pika) and the HTTP API where it cannot.
"""

import collections
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime

import pika
from meiga import isFailure, isSuccess
from petisco import AllMessageSubscriber, Command, CommandSubscriber, DomainEvent, DomainEventSubscriber
from petisco.extra.rabbitmq import (
    QueueConfig,
    RabbitMqCommandBus,
    RabbitMqConnector,
    RabbitMqDomainEventBus,
    RabbitMqMessageConfigurer,
    RabbitMqMessageConsumer,
)

ORGANIZATION, SERVICE = "petacc", "registration"
# How long an order may wait for messages.
PATIENCE = 15


class UserCreated(DomainEvent):
    pass


class UserConfirmed(DomainEvent):
    pass


class InvoiceIssued(DomainEvent):
    class Config:
        version = 2


class PersistUser(Command):
    pass


MESSAGES = {"user.created": UserCreated, "user.confirmed": UserConfirmed}
MESSAGES |= {"invoice.issued": InvoiceIssued, "persist.user": PersistUser}


class Calls:
    """What the handlers of this process do: S success, F failure, H hangs; the last letter repeats."""

    plan = {}
    counts = collections.Counter()

    @classmethod
    def of(cls, name, message):
        cls.counts[name] += 1
        call = cls.counts[name]
        acts = cls.plan.get(name, "S")
        act = acts[min(call, len(acts)) - 1]
        say({"subscriber": name, "call": call, "act": act, "format": message.format()})
        if act == "H":
            threading.Event().wait()
        return isFailure if act == "F" else isSuccess


class SendMailOnUserCreated(DomainEventSubscriber):
    def subscribed_to(self):
        return [UserCreated]

    def handle(self, domain_event):
        return Calls.of("send_mail_on_user_created", domain_event)


class AuditOnUserLifecycle(DomainEventSubscriber):
    def subscribed_to(self):
        return [UserCreated, UserConfirmed]

    def handle(self, domain_event):
        return Calls.of("audit_on_user_lifecycle", domain_event)


class BillOnInvoiceIssued(DomainEventSubscriber):
    def subscribed_to(self):
        return [InvoiceIssued]

    def handle(self, domain_event):
        return Calls.of("bill_on_invoice_issued", domain_event)


class PersistUserHandler(CommandSubscriber):
    def subscribed_to(self):
        return PersistUser

    def handle(self, command):
        return Calls.of("persist_user_handler", command)


class StoreOnMessage(AllMessageSubscriber):
    def handle(self, message):
        return Calls.of("store_on_message", message)


SUBSCRIBERS = [SendMailOnUserCreated, AuditOnUserLifecycle, BillOnInvoiceIssued, PersistUserHandler, StoreOnMessage]
NAMED = {subscriber().get_subscriber_name(): subscriber for subscriber in SUBSCRIBERS}


def say(line):
    # One write: petisco calls handlers from a thread of its own.
    sys.stdout.write(json.dumps(line, default=plain) + "\n")
    sys.stdout.flush()


def plain(value):
    """What pika makes of a timestamp, as in the captured vectors."""
    if isinstance(value, datetime):
        return {"$timestamp": value.isoformat()}
    raise TypeError(value)


# Orders to the desk


def configurer(retry_ttl=5000, main_ttl=5000, rules=None, store=True):
    queues = QueueConfig.from_dict(rules or {}, default_retry_ttl=retry_ttl, default_main_ttl=main_ttl)
    return RabbitMqMessageConfigurer(ORGANIZATION, SERVICE, queue_config=queues, use_store_queues=store)


def configure(**options):
    configurer(**options).configure_subscribers(SUBSCRIBERS)


def clear():
    ours = configurer()
    ours.clear_subscribers(SUBSCRIBERS)
    ours.clear()


def publish(messages):
    """Publishes lines as `tidings-interop domain publish` takes them; answers what was sent."""
    sent = []
    for line in messages:
        message = MESSAGES[line["name"]](**line.get("attributes", {}))
        bus = RabbitMqCommandBus if isinstance(message, Command) else RabbitMqDomainEventBus
        bus(ORGANIZATION, SERVICE).with_meta(line.get("meta", {})).publish(message)
        sent.append(message.format())
    return sent


def channel():
    return RabbitMqConnector().get_channel("desk")


def put(body, exchange="", routing_key="", headers=None, **properties):
    """Publishes anything anywhere."""
    properties = pika.BasicProperties(delivery_mode=2, headers=headers, **properties)
    with channel() as to:
        to.confirm_delivery()
        to.basic_publish(exchange, routing_key, body.encode(), properties, mandatory=True)


def take(queue, count=1):
    """Waits for so many messages and takes them out, as they are on the wire."""
    taken, end = [], time.monotonic() + PATIENCE
    with channel() as source:
        while len(taken) < count:
            method, properties, body = source.basic_get(queue, auto_ack=True)
            if method is None:
                if time.monotonic() > end:
                    raise TimeoutError(f"{queue} has given {len(taken)} of {count} messages")
                time.sleep(0.02)
                continue
            taken.append(captured(method, properties, body))
    return taken


def captured(method, properties, body):
    """In the form of the captured vectors."""
    said = {name: value for name, value in vars(properties).items() if value is not None}
    return {
        "exchange": method.exchange,
        "routing_key": method.routing_key,
        "redelivered": method.redelivered,
        "properties": said,
        "body": {"text": body.decode()},
    }


def tap(exchanges):
    """From now on the queue `tap` gets a copy of everything that is published to these."""
    with channel() as to:
        to.queue_declare("tap", durable=True)
        for exchange in exchanges:
            to.queue_bind("tap", exchange, "#")


def waiting(expected):
    """How many messages are ready in each queue that has any, the tap aside; waits for what is expected."""
    found, end = None, time.monotonic() + PATIENCE
    while found != expected and time.monotonic() < end:
        if found is not None:
            time.sleep(0.02)
        found = {}
        with channel() as to:
            for queue in http("GET", "/api/queues/%2F?columns=name"):
                ready = to.queue_declare(queue["name"], passive=True).method.message_count
                if ready and queue["name"] != "tap":
                    found[queue["name"]] = ready
    return found


def topology():
    """What exists, in the form of the captured topology."""
    names = ("name", "type", "durable", "auto_delete", "internal", "arguments")
    exchanges = http("GET", "/api/exchanges/%2F")
    exchanges = [{name: it[name] for name in names} for it in exchanges if it["name"] and not it["name"].startswith("amq.")]
    names = ("name", "durable", "auto_delete", "exclusive", "arguments", "type")
    queues = [{name: it[name] for name in names} for it in http("GET", "/api/queues/%2F")]
    for queue in queues:
        # RabbitMQ 4 names the type that nobody has asked for; it is in `type` anyway.
        queue["arguments"].pop("x-queue-type", None)
    names = {"exchange": "source", "queue": "destination", "routing_key": "routing_key", "arguments": "arguments"}
    bindings = [it for it in http("GET", "/api/bindings/%2F") if it["source"]]
    bindings = [{name: it[theirs] for name, theirs in names.items()} for it in bindings]
    return {"exchanges": exchanges, "queues": queues, "bindings": bindings}


def wipe():
    """petisco knows only this virtual host: it is made anew for every test."""
    RabbitMqConnector().close_all()
    try:
        http("DELETE", "/api/vhosts/%2F")
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
    http("PUT", "/api/vhosts/%2F")
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    http("PUT", f"/api/permissions/%2F/{os.environ['RABBITMQ_USER']}", everything)


def http(method, path, body=None):
    request = urllib.request.Request(os.environ["RABBITMQ_MANAGEMENT"] + path, method=method)
    passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
    user, password = os.environ["RABBITMQ_USER"], os.environ["RABBITMQ_PASSWORD"]
    passwords.add_password(None, request.full_url, user, password, is_authenticated=True)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPBasicAuthHandler(passwords))
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    with opener.open(request, timeout=PATIENCE) as response:
        text = response.read()
    return json.loads(text) if text else None


ORDERS = {it.__name__: it for it in (configure, clear, publish, put, take, tap, waiting, topology, wipe)}


def desk():
    for line in sys.stdin:
        order = json.loads(line)
        try:
            say({"done": ORDERS[order.pop("order")](**order)})
        except Exception as error:  # petisco and pika raise whatever comes
            say({"failed": f"{type(error).__name__}: {error}"})


# A consumer


def consume(only=None, plan=None, max_retries=5, dead_letter=False):
    Calls.plan = plan or {}
    consumer = RabbitMqMessageConsumer(ORGANIZATION, SERVICE, max_retries=max_retries)
    wanted = [NAMED[name] for name in only or NAMED]
    if dead_letter:
        for subscriber in wanted:
            consumer.add_subscriber_on_dead_letter(subscriber)
    else:
        consumer.add_subscribers(wanted)
    # Attached already; its thread may print the first call at once.
    say({"ready": True})
    consumer.start()
    # Its thread would outlive us: whoever closes our input has seen enough.
    sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1] == "desk":
        desk()
    else:
        consume(**json.loads(sys.argv[2]))
    sys.stdout.flush()
    # petisco's threads are no daemons, and stopping them takes seconds.
    os._exit(0)

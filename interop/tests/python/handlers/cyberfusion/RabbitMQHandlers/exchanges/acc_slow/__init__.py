"""Takes its time; one request of each name at a time."""

import time
from typing import Optional

from cyberfusion.RabbitMQConsumer.contracts import (
    HandlerBase,
    RPCRequestBase,
    RPCResponseBase,
    RPCResponseData,
)


class Request(RPCRequestBase):
    name: str
    sleep: float = 1


class Data(RPCResponseData):
    name: str
    started: float
    ended: float


class Response(RPCResponseBase):
    data: Optional[Data]


class Handler(HandlerBase):
    @property
    def lock_attribute(self) -> Optional[str]:
        return "name"

    def __call__(self, request: Request) -> Response:
        started = time.time()
        time.sleep(request.sleep)
        return Response(
            success=True,
            message="done",
            data=Data(name=request.name, started=started, ended=time.time()),
        )

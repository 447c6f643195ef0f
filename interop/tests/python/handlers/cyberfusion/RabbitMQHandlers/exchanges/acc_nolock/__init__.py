"""Takes its time; one request of this exchange at a time."""

import time
from typing import Optional

from cyberfusion.RabbitMQConsumer.contracts import (
    HandlerBase,
    RPCRequestBase,
    RPCResponseBase,
    RPCResponseData,
)


class Request(RPCRequestBase):
    n: int
    sleep: float = 0


class Data(RPCResponseData):
    n: int
    started: float
    ended: float


class Response(RPCResponseBase):
    data: Optional[Data]


class Handler(HandlerBase):
    def __call__(self, request: Request) -> Response:
        started = time.time()
        time.sleep(request.sleep)
        return Response(
            success=True,
            message="done",
            data=Data(n=request.n, started=started, ended=time.time()),
        )

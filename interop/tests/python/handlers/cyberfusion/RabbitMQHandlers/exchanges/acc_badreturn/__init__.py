"""Returns what is no response."""

from typing import Optional

from cyberfusion.RabbitMQConsumer.contracts import (
    HandlerBase,
    RPCRequestBase,
    RPCResponseBase,
    RPCResponseData,
)


class Request(RPCRequestBase):
    name: str = "x"


class Response(RPCResponseBase):
    data: Optional[RPCResponseData]


class Handler(HandlerBase):
    @property
    def lock_attribute(self) -> Optional[str]:
        return "name"

    def __call__(self, request: Request) -> Response:
        return {"not": "a response"}

"""Answers with what it was asked."""

from typing import Optional

from cyberfusion.RabbitMQConsumer.contracts import (
    HandlerBase,
    RPCRequestBase,
    RPCResponseBase,
    RPCResponseData,
)


class Request(RPCRequestBase):
    text: str
    number: int


class Data(RPCResponseData):
    text: str


class Response(RPCResponseBase):
    data: Optional[Data]


class Handler(HandlerBase):
    @property
    def lock_attribute(self) -> Optional[str]:
        return "number"

    def __call__(self, request: Request) -> Response:
        return Response(success=True, message="Echoed", data=Data(text=request.text))

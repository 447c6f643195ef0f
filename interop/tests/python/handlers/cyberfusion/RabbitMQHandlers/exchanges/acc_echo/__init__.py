"""Answers with what it was asked, under a lock on the name."""

from typing import Optional

from pydantic import NonNegativeInt

from cyberfusion.RabbitMQConsumer.contracts import (
    HandlerBase,
    RPCRequestBase,
    RPCResponseBase,
    RPCResponseData,
)


class Request(RPCRequestBase):
    name: str
    amount: NonNegativeInt = 1


class Data(RPCResponseData):
    name: str
    amount: int
    note: str


class Response(RPCResponseBase):
    data: Optional[Data]


class Handler(HandlerBase):
    @property
    def lock_attribute(self) -> Optional[str]:
        return "name"

    def __call__(self, request: Request) -> Response:
        return Response(
            success=True,
            message="Echoed é",
            data=Data(name=request.name, amount=request.amount, note="café"),
        )

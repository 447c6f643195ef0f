"""Answers with what it has understood of encrypted members."""

from typing import Any, Dict, Optional

from cyberfusion.RabbitMQConsumer.contracts import (
    HandlerBase,
    RPCRequestBase,
    RPCResponseBase,
    RPCResponseData,
)


class Request(RPCRequestBase):
    login: str = "root"
    password: str
    nested: Dict[str, Any] = {}


class Data(RPCResponseData):
    login: str
    password: str
    nested: Dict[str, Any]


class Response(RPCResponseBase):
    data: Optional[Data]


class Handler(HandlerBase):
    @property
    def lock_attribute(self) -> Optional[str]:
        return "login"

    def __call__(self, request: Request) -> Response:
        return Response(
            success=True,
            message="saw it",
            data=Data(
                login=request.login, password=request.password, nested=request.nested
            ),
        )

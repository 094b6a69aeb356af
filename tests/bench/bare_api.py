"""Child: the least a Starlette endpoint can do, served as `notifyq api` is. Argument: port."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_ANSWER = (
    b'{"id":"ntf_000039p1lj5nu4f7okghst60a0000","state":"accepted","durability":"local",'
    b'"deliveries":[{"id":"dlv_000039p1lj5nu4f7okghst60a0008","channel":"sms","state":"pending",'
    b'"scheduled_for":null,"reason":null}],"warnings":[]}'
)


async def post(request: Request) -> Response:
    """Read the body and answer."""
    await request.body()
    return Response(_ANSWER, 202, media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(
        Starlette(routes=[Route("/v1/notifications", post, methods=["POST"])]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
    )

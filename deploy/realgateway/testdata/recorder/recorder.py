"""The gateway, with a record of which tokens it looks at.

It is started as `uvicorn recorder:app` with this folder in PYTHONPATH. A request that carries the header X-Recorded-As is
recorded under that name; GET /recorded/NAME gives the record as JSON and forgets it, as soon as the request is over:

  parsed    texts that PyJWT was asked to take apart, whether or not their signature was looked at
  honoured  texts of which the gateway took the claims for true: verify_jwt_token, which every way in goes through,
            returned them
  headers   what arrived, as [name, value] pairs, Latin-1
  query     the raw query, Latin-1
  cookies   as Starlette reads them
  over      whether the gateway is done with the request

The gateway's own code is not changed, and answers as it does without a recorder.
"""

import asyncio
import contextvars
import functools
import json
import sys

from jwt.api_jws import PyJWS
from starlette.requests import HTTPConnection

current = contextvars.ContextVar("current", default=None)  # a worker thread or a task inherits it, the record is shared
records = {}


def note(list_name, token):
    record = current.get()
    if record is None:
        return
    text = token.decode("latin-1") if isinstance(token, bytes) else str(token)
    if text not in record[list_name]:
        record[list_name].append(text)


take_apart = PyJWS._load


def noted_take_apart(self, jwt):
    note("parsed", jwt)
    return take_apart(self, jwt)


PyJWS._load = noted_take_apart

from mcpgateway.utils import verify_credentials  # noqa: E402

verify = verify_credentials.verify_jwt_token


@functools.wraps(verify)
async def noted_verify(token):
    claims = await verify(token)
    note("honoured", token)
    return claims


verify_credentials.verify_jwt_token = noted_verify

from mcpgateway.main import app as gateway  # noqa: E402

for module in list(sys.modules.values()):  # whoever imported the function itself
    if getattr(module, "verify_jwt_token", None) is verify:
        module.verify_jwt_token = noted_verify


async def answer(send, status, body):
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


async def give(name, send):
    record = records.pop(name, None)
    if record is None:
        return await answer(send, 404, None)
    over = record.pop("over")
    try:
        await asyncio.wait_for(over.wait(), 2)
    except asyncio.TimeoutError:
        pass
    await answer(send, 200, record | {"over": over.is_set()})


async def app(scope, receive, send):
    if scope["type"] not in ("http", "websocket"):
        return await gateway(scope, receive, send)
    if scope["path"].startswith("/recorded/"):
        return await give(scope["path"].removeprefix("/recorded/"), send)
    name = next((value.decode("latin-1") for key, value in scope["headers"] if key == b"x-recorded-as"), None)
    if name is None:
        return await gateway(scope, receive, send)
    record = {
        "parsed": [],
        "honoured": [],
        "headers": [[key.decode("latin-1"), value.decode("latin-1")] for key, value in scope["headers"]],
        "query": scope["query_string"].decode("latin-1"),
        "cookies": HTTPConnection(scope).cookies,
        "over": asyncio.Event(),
    }
    records[name] = record
    over = record["over"]
    token = current.set(record)
    try:
        await gateway(scope, receive, send)
    finally:
        current.reset(token)
        over.set()

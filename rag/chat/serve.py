"""A callable that opens a pipeline, and an address, to a page that is served there until it is stopped.

The page is served by our own uvicorn on a socket that we bound, not by gradio's `launch`: a busy port is known
before anything loads, and nothing is asked over HTTP at start (gradio asks its own address, which a proxy in the
environment would carry outside).
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import re
import socket
import sys
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rag.errors import SettingsError

if TYPE_CHECKING:
    from rag.chat.opening import Asks, Opening

_UPLOAD = re.compile(r"/upload(?:_progress)?/?$")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# gradio compiles its components' templates in the page, hence the two unsafe words. Nothing but this origin loads.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'self'; "
    "object-src 'none'"
)
# What a question gets when the queue is full; the page says the same in gradio's words.
BUSY = json.dumps({"detail": "Footnote is busy: its queue of questions is full. Ask again in a few seconds."}).encode()
BUSY_HEADERS = (
    (b"content-type", b"application/json"),
    (b"content-length", str(len(BUSY)).encode()),
    (b"retry-after", b"5"),
)


def bind(host: str, port: int) -> socket.socket:
    """An address to a listening socket. Raises SettingsError: busy, not allowed, not of this machine."""
    if not 0 <= port <= 65535:
        raise SettingsError(f"port {port} does not exist: give one from 1 to 65535 (--port)")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"port {port} on {host} is in use: stop the program that uses it, or choose another (--port)"
        elif error.errno == errno.EACCES:
            message = f"port {port} may not be used without more rights: choose one above 1023 (--port)"
        else:
            message = f"cannot listen on {host!r}, port {port}: {error.strerror or error} (--host, --port)"
        raise SettingsError(message) from error


def launch(pipeline_source: Callable[[], Asks], *, host: str, port: int, queue: int) -> None:
    """A callable that opens a pipeline, and an address, to a running chat; returns when it is stopped."""
    if queue < 1:
        raise SettingsError(f"a queue of {queue} lets no question in: give a number from 1 (--queue)")
    with bind(host, port) as listening:
        from rag.chat.opening import Opening

        opening = Opening(pipeline_source)  # loads while gradio does
        import uvicorn

        app = make_app(opening, queue, answers_to(host, listening))
        name = f"[{host}]" if ":" in host else host
        sys.stdout.write(f"Footnote is at http://{name}:{listening.getsockname()[1]} (stop it with Ctrl-C)\n")
        sys.stdout.flush()
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, lifespan="on")
        server = uvicorn.Server(config)
        # A page that is still open holds a stream, whose end uvicorn would report with a trace.
        logging.getLogger("uvicorn.error").addFilter(lambda record: not server.should_exit)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listening])


def answers_to(host: str, listening: socket.socket) -> frozenset[str]:
    """The address asked for, and the socket on it, to the names that the chat answers to; none: to every name.

    A page elsewhere may give its own name our address (DNS rebinding), and read the chat through its visitor's
    browser; the Host header then has that name. Who listens on all addresses wants to be reached by any name.
    """
    address = listening.getsockname()[0]
    return frozenset() if ip_address(address).is_unspecified else LOOPBACK | {host.lower(), address}


def make_app(opening: Opening, queue: int, hosts: frozenset[str]) -> Any:
    """A pipeline being opened, the queue's cap and the names answered to, to the ASGI application, guarded."""
    from fastapi import FastAPI

    from rag.chat.app import mount

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    mount(app, opening, queue)
    return guarded(app, hosts)


def guarded(app: Any, hosts: frozenset[str]) -> Any:
    """An ASGI application to the same one, whose every response forbids the browser to load anything from outside.

    Where gradio refuses a question because its queue is full (status 503), the response says so in BUSY's words.
    No file is taken.
    hosts: what is asked of another host is refused; none: nothing is. (starlette's TrustedHostMiddleware would do, but
    that it depends on its version for IPv6, and tells no remedy.)
    """
    from fastapi.responses import PlainTextResponse

    added = [
        (b"content-security-policy", POLICY.encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
    ]

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        busy = False

        async def sending(message: Any) -> None:
            nonlocal busy
            if message["type"] == "http.response.start":
                busy = message["status"] == HTTPStatus.SERVICE_UNAVAILABLE
                message["headers"] = [*(BUSY_HEADERS if busy else message.get("headers", [])), *added]
            elif message["type"] == "http.response.body" and busy:
                message["body"] = b"" if message.get("more_body") else BUSY
            await send(message)

        asked = dict(scope.get("headers", ())).get(b"host", b"").decode("latin-1")
        if hosts and scope["type"] in {"http", "websocket"} and _hostname(asked) not in hosts:
            message = f"this chat does not answer to {asked[:80]!r}: open it by its address, or start it with --host\n"
            await PlainTextResponse(message, 403)(scope, receive, sending)
            return
        if _UPLOAD.search(scope.get("path", "")):  # gradio would store it, whichever page sent it
            await PlainTextResponse("this chat takes no files\n", 404)(scope, receive, sending)
            return
        await app(scope, receive, sending)

    return wrapped


def _hostname(header: str) -> str:
    """A Host header to the name in it, without the port."""
    try:
        return (urlsplit(f"//{header}").hostname or "").rstrip(".")
    except ValueError:
        return ""

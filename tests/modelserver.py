"""A scripted server that speaks OpenAI's API on a loopback port: what it answers, and every way in which it fails."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[["Handler", dict[str, Any]], None]


class Server(ThreadingHTTPServer):
    """A server whose handlers follow a script."""

    daemon_threads = True
    script: Script


class Handler(BaseHTTPRequestHandler):
    """Requests to what the script says; every path and body is kept."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.handled({})

    def do_POST(self) -> None:
        self.handled(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def handled(self, body: dict[str, Any]) -> None:
        assert isinstance(self.server, Server)
        script = self.server.script
        script.asked.append((self.path, body, dict(self.headers)))
        if self.path.endswith("/chat/completions"):
            script.replies[min(script.turn, len(script.replies) - 1)](self, body)
            script.turn += 1
        elif (said := script.routes.get(self.path)) is not None:
            self.json(said(body) if callable(said) else said)
        else:
            self.json({"error": "no such route"}, 404)

    def json(self, data: object, status: int = 200, **headers: str) -> None:
        made = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(made)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(made)

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    def piece(self, text: str, finish: str | None = None, **delta: str) -> None:
        choice = {"index": 0, "delta": {"content": text, **delta}, "finish_reason": finish}
        self.raw(f"data: {json.dumps({'id': 'x', 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n")

    def raw(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()


class Script:
    """What a server answers: `replies` one after another, the last one again and again; `routes` for the rest."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.routes: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.turn = 0
        self.url = ""

    @property
    def prompts(self) -> list[str]:
        """What the model was asked, one text a request."""
        return [
            "\n".join(m["content"] for m in body["messages"])
            for path, body, _ in self.asked
            if path.endswith("completions")
        ]


@contextmanager
def serving(*replies: Reply, **routes: Any) -> Iterator[Script]:
    """Replies to a running server that gives them."""
    script = Script()
    script.replies = list(replies)
    script.routes = {f"/{name.replace('__', '/')}": said for name, said in routes.items()}
    server = Server(("127.0.0.1", 0), Handler)
    server.script = script
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def says(text: str, size: int = 5) -> Reply:
    """A text to a reply that streams it in small pieces."""

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin()
        for start in range(0, len(text), size):
            handler.piece(text[start : start + size])
        handler.piece("", "stop")
        handler.raw("data: [DONE]\n\n")

    return reply


def fails(status: int, message: str = "broken", **headers: str) -> Reply:
    """A status to a reply that is that error."""

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        handler.json({"error": {"message": message, "type": "error"}}, status, **headers)

    return reply


def breaks(text: str) -> Reply:
    """A text to a reply that streams it and then ends without a word."""

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin()
        handler.piece(text)

    return reply


def hangs(text: str = "", seconds: float = 5) -> Reply:
    """A text to a reply that streams it and is then silent, but for comments that keep the connection alive."""

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin()
        if text:
            handler.piece(text)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.05)
            try:
                handler.raw(": still here\n\n")
            except OSError:
                return

    return reply


def garbage(handler: Handler, body: dict[str, Any]) -> None:
    """A reply that is no stream at all."""
    data = b"<html>\xff\x00 hello"
    handler.send_response(200)
    handler.send_header("content-type", "text/html")
    handler.send_header("content-length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def bad_json(handler: Handler, body: dict[str, Any]) -> None:
    """A stream whose data is not JSON."""
    handler.begin()
    handler.raw("data: {not json\n\ndata: [DONE]\n\n")

"""A server on this machine that speaks OpenAI's protocol of chat completions; what it answers can be set."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from oneword.prompting import endpoint

KEY = "sk-very-secret-1234567890"


class Server:
    """A server that speaks the protocol of chat completions; what it answers can be set."""

    def __init__(self) -> None:
        self.replies: list[object] = []
        self.models = ["only-model"]
        self.status, self.error = 200, {}
        self.refusals: list[int] = []  # statuses of the next requests, before any is answered
        self.requests: list[dict] = []
        self.keys: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                pass

            def do_GET(self) -> None:
                assert self.path == "/v1/models"
                data = [{"id": name, "object": "model", "created": 0, "owned_by": "me"} for name in server.models]
                self._send({"object": "list", "data": data})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append(body)
                server.keys.append(self.headers["Authorization"])
                if server.refusals:
                    self._send(None, server.refusals.pop(0))
                    return
                reply = server.replies[min(len(server.requests), len(server.replies)) - 1]
                reply = reply(body) if callable(reply) else reply
                self._send(completion(reply) if isinstance(reply, str) else reply)

            def _send(self, body: object, status: int = 0) -> None:
                status = status or server.status
                if status == 200:
                    content = body if isinstance(body, bytes) else json.dumps(body).encode()
                else:
                    content = json.dumps(server.error).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html" if isinstance(body, bytes) else "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):  # the client has given up waiting
                    self.wfile.write(content)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def completion(text: object, finish: str = "stop") -> dict:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "only-model", "choices": [choice]}


def next_token(**listed: float) -> dict:
    """An answer of one token, with the log-probabilities of those that are listed; its name's _ is a space."""
    top = [{"token": name.replace("_", " "), "logprob": score, "bytes": None} for name, score in listed.items()]
    reply = completion(top[0]["token"], "length")
    reply["choices"][0]["logprobs"] = {"content": [{**top[0], "top_logprobs": top}], "refusal": None}
    return reply


@contextlib.contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, *replies: object) -> Iterator[Server]:
    """A server that gives these replies, for a client that has a key and tries once."""
    monkeypatch.setattr(endpoint, "RETRIES", 0)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    server.replies = list(replies)
    try:
        yield server
    finally:
        server.close()

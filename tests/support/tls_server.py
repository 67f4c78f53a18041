"""An HTTPS server on this machine that answers as it is told."""

from __future__ import annotations

import http.server
import ssl
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Answer:
    """`announced`: the Content-Length, where it is not the body's."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class TlsServer:
    """Serves `answers` by path on 127.0.0.1, 404 for any other path; keeps the requests.

    `tls`: a folder with tls.crt, tls.key and ca.crt.
    """

    def __init__(self, tls: Path, answers: dict[str, Answer], port: int = 0) -> None:
        self.requests: list[Request] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.requests.append(Request(self.command, self.path, dict(self.headers), body))

                answer = answers.get(self.path, Answer(404))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                length = len(answer.body) if answer.announced is None else answer.announced
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_PUT = handle_any  # noqa: N815 - names that the base class calls

            def log_message(self, *_: object) -> None:
                pass

        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
        self.context.load_verify_locations(tls / "ca.crt")
        self.context.verify_mode = ssl.CERT_OPTIONAL

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.socket = self.context.wrap_socket(self.server.socket, server_side=True)
        # clients that refuse our certificate are part of the tests
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.port: int = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path: str) -> str:
        return f"https://localhost:{self.port}{path}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

"""One data player, as a client talks to it (docs/wire.md).

TLS 1.3 to a certificate of the right role; Open Inference Protocol.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from cryptography import x509

from .errors import PlayerError, UnreachableError, UntrustedAnswerError
from .sharing import Ring

JSON_LENGTH = "Inference-Header-Content-Length"
TIMEOUT_S = 20.0
HTTP_ERROR = 400
HTTP_SERVER_ERROR = 500
MAX_ANSWER = 1 << 30


@dataclass(frozen=True)
class Endpoint:
    """How to reach a player.

    `server_name` is verified in its certificate; `dial` opens the byte stream below TLS.
    """

    name: str
    role: str
    server_name: str
    dial: Callable[[], socket.socket]


@dataclass(frozen=True)
class Answer:
    """A player's share of the output, and what both players must agree on."""

    share: Ring
    agreement: dict[str, Any]
    hops: int


class Player:
    """A connection to one player, kept open between requests and reopened after it broke."""

    def __init__(self, endpoint: Endpoint, identity: str, context: ssl.SSLContext) -> None:
        self.endpoint = endpoint
        self.identity = identity
        self.context = context
        self.connection: http.client.HTTPConnection | None = None
        self.timeout = TIMEOUT_S

    @property
    def name(self) -> str:
        return self.endpoint.name

    def close(self) -> None:
        if self.connection:
            self.connection.close()
            self.connection = None

    def metadata(self, model: str) -> dict[str, Any]:
        """Open Inference Protocol model metadata."""
        body, _ = self._request("GET", f"/v2/models/{model}", b"", {})
        loaded: dict[str, Any] = json.loads(body)
        return loaded

    def infer(self, model: str, request_id: str, share: Ring) -> Answer:
        """Sends one share, returns the player's share of the result."""
        tensor = share.astype("<u8", copy=False).tobytes()
        header = {
            "id": request_id,
            "inputs": [
                {
                    "name": "input",
                    "datatype": "UINT64",
                    "shape": list(share.shape),
                    "parameters": {"binary_data_size": len(tensor)},
                }
            ],
            "outputs": [{"name": "output", "parameters": {"binary_data": True}}],
        }
        text = json.dumps(header).encode()
        body, length = self._request(
            "POST", f"/v2/models/{model}/infer", text + tensor, {JSON_LENGTH: str(len(text))}
        )

        try:
            answer = json.loads(body[:length])
            output = answer["outputs"][0]
            result = np.frombuffer(body[length:], dtype="<u8").reshape(output["shape"])
            parameters = answer["parameters"]
            agreement = {
                "id": answer["id"],
                "generation": answer["model_version"],
                "rows": output["shape"][0],
            }
            agreement |= {key: parameters[key] for key in ("digest", "epoch", "batch")}
            hops = int(parameters["hops"])
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise UntrustedAnswerError(
                f"{self.name} sent an answer that cannot be read ({type(error).__name__}); "
                "is it of another release?"
            ) from error
        return Answer(result, agreement, hops)

    def _request(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[bytes, int]:
        """The body of a successful answer and the length of its JSON part.

        Raises:
            PlayerError: an error in Open Inference Protocol form.
            UnreachableError: no connection, or it broke.
            UntrustedAnswerError: the server is not this player.
        """
        try:
            connection = self._connected()
            connection.request(method, path, body=body or None, headers=headers)
            response = connection.getresponse()
            answer = response.read(MAX_ANSWER)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise UntrustedAnswerError(
                f"{self.name}'s certificate is not of this SecureModel's CA: {error.verify_message}"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise UnreachableError(
                f"{self.name} ({self.endpoint.server_name}) cannot be reached: "
                f"{error or type(error).__name__}"
            ) from error
        except UntrustedAnswerError:
            self.close()
            raise

        if response.status < HTTP_ERROR:
            return answer, int(response.getheader(JSON_LENGTH, len(answer)))
        if response.will_close:
            self.close()
        raise self._refusal(response.status, answer)

    def _refusal(self, status: int, body: bytes) -> PlayerError:
        try:
            told = json.loads(body)
            code, message = str(told["code"]), str(told["error"])
            retryable = bool(told["retryable"])
        except (ValueError, KeyError, TypeError):
            code, message, retryable = "http", f"HTTP {status}", status >= HTTP_SERVER_ERROR
        return PlayerError(self.name, code, message, retryable=retryable)

    def _connected(self) -> http.client.HTTPConnection:
        if self.connection is None:
            raw = self.endpoint.dial()
            raw.settimeout(self.timeout)
            with contextlib.suppress(OSError):  # a forwarded port is not TCP here
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                sock = self.context.wrap_socket(raw, server_hostname=self.endpoint.server_name)
            except BaseException:
                raw.close()
                raise
            try:
                self._check_role(sock)
            except BaseException:
                sock.close()
                raise
            self.connection = http.client.HTTPConnection(
                self.endpoint.server_name, timeout=self.timeout
            )
            self.connection.sock = sock
            self.connection.auto_open = 0
        elif self.connection.sock is not None:
            self.connection.sock.settimeout(self.timeout)
        return self.connection

    def _check_role(self, sock: ssl.SSLSocket) -> None:
        """A share goes only to its own player: alice's certificate must not pass for bob's."""
        certificate = x509.load_der_x509_certificate(sock.getpeercert(binary_form=True) or b"")
        try:
            names = certificate.extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            ).value
            uris = [
                u
                for u in names.get_values_for_type(x509.UniformResourceIdentifier)
                if u.startswith("securemodel://")
            ]
        except x509.ExtensionNotFound:
            uris = []
        if uris != [self.identity]:
            raise UntrustedAnswerError(
                f"{self.endpoint.server_name} is {', '.join(uris) or 'nobody'}, "
                f"not {self.identity}; nothing was sent to it"
            )

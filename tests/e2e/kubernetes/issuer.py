"""An OpenID Connect provider on loopback, which issues the ID tokens that jobs of CI get."""

from __future__ import annotations

import json
import ssl
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

LIFETIME = 300


class Issuer(ThreadingHTTPServer):
    """Serves discovery, keys and, as GitHub does, tokens for the claims of a job."""

    def __init__(self, certificate: Path, key: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server_port}"
        self.signing_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.job: dict[str, Any] = {}
        self.requests = 0

    def token(self, lifetime: int = LIFETIME, **claims: Any) -> str:
        """A signed ID token."""
        now = int(time.time())
        standard = {"iss": self.url, "iat": now - LIFETIME, "exp": now + lifetime}
        return jwt.encode(standard | claims, self.signing_key, algorithm="RS256", headers={"kid": "1"})


class _Handler(BaseHTTPRequestHandler):
    server: Issuer

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        keys = RSAAlgorithm.to_jwk(self.server.signing_key.public_key(), as_dict=True)
        found: dict[str, dict[str, Any]] = {
            "/.well-known/openid-configuration": {"issuer": self.server.url, "jwks_uri": f"{self.server.url}/keys"},
            "/keys": {"keys": [{**keys, "kid": "1", "alg": "RS256", "use": "sig"}]},
        }
        if address.path == "/token" and self.headers["Authorization"] == "Bearer request-token":
            (audience,) = parse_qs(address.query)["audience"]
            found["/token"] = {"value": self.server.token(aud=audience, **self.server.job)}
            self.server.requests += 1
        self.send_response(200 if address.path in found else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(found.get(address.path, {})).encode())

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

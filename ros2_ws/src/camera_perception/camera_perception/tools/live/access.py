"""Who may watch: this machine alone, or whoever knows the token; and how many may connect, and say nothing."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import secrets
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any
from urllib.parse import urlsplit

from camera_perception.core.errors import PerceptionError

MIN_TOKEN = 12  # characters
VARIABLE = "CAMERA_PERCEPTION_TOKEN"
MOST_CONNECTIONS = 256
SILENCE = 10.0  # seconds until a connection must have sent its first request


@dataclass(frozen=True, slots=True)
class Access:
    """host is the address served; token is "" on the loopback address, where none is needed."""

    host: str
    token: str = ""

    def admits(self, token: str) -> bool:
        """Whether a token is the right one; takes the same time for any wrong one."""
        return not self.token or compare_digest(token.encode(), self.token.encode())

    def foreign(self, host_header: str, origin: str | None) -> str:
        """Why a request is refused, "" when it is not.

        Pages of other sites may not connect. Without a token the name in the request must be of this machine: other
        sites can give the loopback address a name of theirs (DNS rebinding).
        """
        if not self.token and not is_loopback(urlsplit(f"//{host_header}").hostname or ""):
            return f"this server answers to 127.0.0.1 and localhost, not to {host_header[:100]}"
        if origin is not None and urlsplit(origin).netloc != host_header:
            return "pages of other sites may not connect"
        return ""

    @property
    def fragment(self) -> str:
        """The end of the address to open. Browsers send no fragment, so that the token is in no log."""
        return f"#token={self.token}" if self.token else ""


def open_access(host: str, token: str = "") -> Access:
    """Access for an address to serve: a random token is made for any other than the loopback address.

    token  "": that of the environment variable, if it is set
    """
    token = token or os.environ.get(VARIABLE, "")
    if token and (len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token):
        raise PerceptionError(
            f"the token is too weak: give {MIN_TOKEN} or more letters and digits, or none for a new one"
        )
    return Access(host, token if token or is_loopback(host) else secrets.token_urlsafe(18))


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def security_headers(host_header: str) -> dict[str, str]:
    """No script, style, image or connection but this server's own; no other page may embed this one."""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' blob:",
        "connect-src": f"'self' ws://{host_header} wss://{host_header}",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-cache",
    }


class Refused(asyncio.Protocol):
    """A connection too many: ended at once."""

    def connection_made(self, transport: Any) -> None:
        transport.abort()


class Connections:
    """Makes the protocols of an aiohttp server, and ends connections that stay silent.

    server   makes one protocol per connection, and lists those that are open
    """

    def __init__(self, server: Any, most: int = MOST_CONNECTIONS, silence: float = SILENCE) -> None:
        self._server, self._most, self._silence = server, most, silence
        self._silent: dict[Any, asyncio.TimerHandle] = {}  # connections without a request, for as long as they may be

    def protocol(self) -> Any:
        """For a new connection."""
        if len(self._server.connections) >= self._most:
            return Refused()
        made = self._server()
        self._silent[made] = asyncio.get_running_loop().call_later(self._silence, self._end, made)
        return made

    def asked(self, protocol: Any) -> None:
        """A connection has sent a whole request."""
        if timer := self._silent.pop(protocol, None):
            timer.cancel()

    def _end(self, protocol: Any) -> None:
        del self._silent[protocol]
        if protocol.transport is not None:
            protocol.transport.abort()

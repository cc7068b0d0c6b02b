"""TLS on the callers' listener: 1.2 or newer, and changed files are taken up without losing a connection.

A listening socket outlives its certificate: a new server with the new certificate takes over the same socket, and the
old one ends. Connections that are open keep what they had agreed on.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from fairlead.errors import UserError
from fairlead.gateway.config import Config, Tls

BACKLOG = 4096
Stamp = tuple[tuple[int, int, int], ...]


class Listener:
    """The callers' port of one gateway, with or without TLS."""

    def __init__(self, config: Config, factory: Callable[[], asyncio.BaseProtocol]) -> None:
        self.expiry = 0.0
        self._config = config
        self._factory = factory
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._seen: Stamp = ()

    async def open(self) -> None:
        """Listen. Raises UserError when the port is taken or the certificate is not usable."""
        listen = self._config.listen
        context = self._context()
        try:
            self._sockets = await bound(listen.host, listen.port, shared=self._config.replicas > 1)
            self._servers = await self._serve(context)
        except OSError as error:
            raise UserError(
                f"cannot listen on {listen.host}:{listen.port}: {error.strerror}", hint="is another gateway running?"
            ) from error

    async def renew(self) -> bool:
        """Take up changed files; whether there were any. Raises UserError for unusable ones, and keeps the old."""
        tls = self._config.tls
        if tls is None or (stamp(tls) == self._seen and not self._expires(tls)):
            return False
        context = self._context()
        old, self._servers = self._servers, await self._serve(context)
        for server in old:
            server.close()
        return True

    def close(self) -> None:
        """Take no more connections; those that are open go on."""
        for server in self._servers:
            server.close()
        for listening in self._sockets:
            listening.close()

    def _expires(self, tls: Tls) -> bool:
        """Whether our own authority has to make a new certificate."""
        from fairlead.gateway import authority

        return tls.self_signed and self.expiry - time.time() < authority.RENEW_DAYS * 86_400

    def _context(self) -> ssl.SSLContext | None:
        tls = self._config.tls
        if tls is None:
            return None
        if tls.self_signed:
            from fairlead.gateway import authority

            authority.ensure(
                Path(tls.certificate).parent, self._config.listen.host, datetime.datetime.now(datetime.UTC)
            )
        self._seen = stamp(tls)
        context, self.expiry = context_of(tls)
        return context

    async def _serve(self, context: ssl.SSLContext | None) -> list[asyncio.Server]:
        loop = asyncio.get_running_loop()
        patience_s = self._config.limits.header_timeout_s if context is not None else None
        return [
            await loop.create_server(
                self._factory, sock=one.dup(), backlog=BACKLOG, ssl=context, ssl_handshake_timeout=patience_s
            )
            for one in self._sockets
        ]


async def bound(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """A bound socket for each address of the host; `shared` with the other replicas of one user. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:  # the other family has a socket of its own
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.setblocking(False)
            one.bind(address)
    except OSError:
        for one in sockets:
            one.close()
        raise
    return sockets


def context_of(tls: Tls) -> tuple[ssl.SSLContext, float]:
    """How to handshake, and when the certificate expires (seconds since 1970). Raises UserError."""
    from cryptography import x509  # some 6 MB, only where there is TLS

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    step = "certificate with its key"
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_ca:
            step = "authority of the callers' certificates"
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(tls.client_ca)
        expiry = x509.load_pem_x509_certificate(Path(tls.certificate).read_bytes()).not_valid_after_utc.timestamp()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError; the paths may come from variables
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UserError(
            f"gateway.tls: the {step} cannot be used: {reason}", hint="PEM files, readable by the gateway"
        ) from error
    return context, expiry


def stamp(tls: Tls) -> Stamp:
    """What changes when one of the files is written or replaced."""
    found = []
    for path in (tls.certificate, tls.key, tls.client_ca):
        with contextlib.suppress(OSError):
            status = Path(path).stat()
            found.append((status.st_mtime_ns, status.st_ino, status.st_size))
    return tuple(found)

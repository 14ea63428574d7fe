"""How the cluster is reached; what every Kafka client here is given."""

from __future__ import annotations

import re
import ssl
from typing import Any

import msgspec
from aiokafka.helpers import create_ssl_context

from streamer.errors import SettingsError

ADDRESS = re.compile(r"([^\s:\[\]]+|\[[0-9a-fA-F:.%]+\])(:\d{1,5})?")
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI")


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses and credentials. File names are PEM files."""

    bootstrap_servers: str = "localhost:9092"
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = None
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_password: str | None = None

    def __post_init__(self) -> None:
        if not self.bootstrap_servers.strip():
            raise SettingsError(
                "bootstrap_servers is empty; it is host:port, or several with commas between."
            )
        for server in self.bootstrap_servers.split(","):
            if ADDRESS.fullmatch(server.strip()) is None:
                raise SettingsError(f"bootstrap_servers: {server.strip()!r} is not host:port.")
        if self.security_protocol not in PROTOCOLS:
            raise SettingsError(
                f"security_protocol is one of {', '.join(PROTOCOLS)}, not {self.security_protocol!r}."
            )
        if self.security_protocol.startswith("SASL"):
            if self.sasl_mechanism is not None and self.sasl_mechanism not in MECHANISMS:
                raise SettingsError(
                    f"sasl_mechanism is one of {', '.join(MECHANISMS)}, not {self.sasl_mechanism!r}."
                )
            if self.sasl_mechanism != "GSSAPI" and (self.sasl_username is None or self.sasl_password is None):
                raise SettingsError(
                    f"security_protocol {self.security_protocol} needs sasl_username and sasl_password."
                )

    def __repr__(self) -> str:
        return f"Connection({self.bootstrap_servers!r}, {self.security_protocol})"

    def client(self, client_id: str) -> dict[str, Any]:
        """The arguments of an aiokafka client."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": [server.strip() for server in self.bootstrap_servers.split(",")],
            "client_id": client_id,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL"):
            arguments["sasl_mechanism"] = self.sasl_mechanism or "PLAIN"
            arguments["sasl_plain_username"] = self.sasl_username
            arguments["sasl_plain_password"] = self.sasl_password
        if self.security_protocol.endswith("SSL"):
            arguments["ssl_context"] = self.ssl_context()
        return arguments

    def ssl_context(self) -> ssl.SSLContext:
        """The TLS context; a file that can't be read is a SettingsError that names it."""
        try:
            context: ssl.SSLContext = create_ssl_context(
                cafile=self.ssl_cafile,
                certfile=self.ssl_certfile,
                keyfile=self.ssl_keyfile,
                password=self.ssl_password,
            )
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(filter(None, (self.ssl_cafile, self.ssl_certfile, self.ssl_keyfile)))
            raise SettingsError(f"The TLS files ({files}) can't be used: {error}") from error
        return context

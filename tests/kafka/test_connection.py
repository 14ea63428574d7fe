"""How the cluster is reached: what every client is given, and what is refused before anything connects."""

import ssl
import subprocess

import pytest

from streamer.errors import SettingsError
from streamer.kafka.connection import Connection
from streamer.kafka.topics import Unreachable, Wanted, ensure


def test_plain_text_needs_an_address_and_nothing_else():
    """Several addresses are separated by commas."""
    client = Connection(bootstrap_servers="a:1, b:2").client("me")
    assert client == {
        "bootstrap_servers": ["a:1", "b:2"],
        "client_id": "me",
        "security_protocol": "PLAINTEXT",
    }


def test_sasl_is_passed_through():
    """User, password and mechanism."""
    client = Connection(
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="u",
        sasl_password="p",
    ).client("me")
    assert client["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (client["sasl_plain_username"], client["sasl_plain_password"]) == ("u", "p")


def test_ssl_makes_a_context(tmp_path):
    """Of the files that were named."""
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=x"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    client = Connection(
        security_protocol="SSL",
        ssl_cafile=str(certificate),
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
    ).client("me")
    assert isinstance(client["ssl_context"], ssl.SSLContext)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"bootstrap_servers": " "}, "bootstrap_servers is empty"),
        ({"security_protocol": "TLS"}, "security_protocol is one of PLAINTEXT, SSL"),
        ({"security_protocol": "SASL_SSL"}, "needs sasl_username and sasl_password"),
        (
            {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "MAGIC",
                "sasl_username": "u",
                "sasl_password": "p",
            },
            "sasl_mechanism is one of PLAIN",
        ),
    ],
)
def test_wrong_settings_fail_at_construction(fields, said):
    """With the setting's name and what it may be."""
    with pytest.raises(SettingsError, match=said):
        Connection(**fields)


def test_a_file_that_is_not_there_is_named():
    """Before anything connects."""
    with pytest.raises(SettingsError, match=r"nowhere\.pem"):
        Connection(security_protocol="SSL", ssl_cafile="nowhere.pem").client("me")


def test_no_password_is_ever_shown():
    """Not in a traceback, not in a log."""
    made = Connection(security_protocol="SASL_SSL", sasl_username="u", sasl_password="secret")
    assert "secret" not in repr(made)
    assert "secret" not in str(made)


@pytest.mark.broker
async def test_an_address_where_nobody_answers_is_one_sentence():
    """It names the address and the remedy."""
    with pytest.raises(Unreachable, match=r"No Kafka broker answers at 127\.0\.0\.1:1 .*--bootstrap-servers"):
        await ensure(Connection(bootstrap_servers="127.0.0.1:1"), [Wanted("x")])

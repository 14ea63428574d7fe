"""Apache Kafka's own image, through testcontainers."""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tests.brokers.server import SETTINGS, VERSION, BrokerUnavailable, free_port, wait_until_it_answers

IMAGE = f"apache/kafka:{VERSION}"
LISTENERS = {
    "listeners": "CLIENT://:9092,PROXIED://:9095,BROKER://localhost:9094,CONTROLLER://localhost:9093",
    "inter.broker.listener.name": "BROKER",
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,PROXIED:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.quorum.voters": "1@localhost:9093",
}


class DockerBroker:
    """One container, whose host ports are chosen beforehand so that they survive a restart."""

    kind = "docker"
    is_real = True

    def __init__(self, settings: Mapping[str, str] = MappingProxyType({}), proxy: str | None = None) -> None:
        require_docker()
        from testcontainers.core.container import DockerContainer

        port, behind = free_port(), free_port()
        self._container = DockerContainer(IMAGE).with_bind_ports(9092, port).with_bind_ports(9095, behind)
        host = self._container.get_docker_client().host().replace("localhost", "127.0.0.1")
        self.bootstrap_servers = f"{host}:{port}"
        self.behind_proxy = f"{host}:{behind}"
        addresses = {
            "CLIENT": self.bootstrap_servers,
            "PROXIED": proxy or self.behind_proxy,
            "BROKER": "localhost:9094",
        }
        advertised = {"advertised.listeners": ",".join(f"{name}://{at}" for name, at in addresses.items())}
        for name, value in (SETTINGS | LISTENERS | advertised | dict(settings)).items():
            self._container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
        self._container.with_env("KAFKA_HEAP_OPTS", "-Xmx512m")
        try:
            self._container.start()
            self._wait()
        except BaseException:
            self.close()
            raise

    def pause(self) -> None:
        self._wrapped().pause()

    def unpause(self) -> None:
        self._wrapped().unpause()

    def stop(self) -> None:
        self._wrapped().stop(timeout=30)

    def kill(self) -> None:
        self._wrapped().kill()

    def start(self) -> None:
        self._wrapped().start()
        self._wait()

    def close(self) -> None:
        self._container.stop()  # in testcontainers' words: remove it by force, with its volumes

    def logs(self) -> str:
        return str(self._wrapped().logs(tail=50).decode(errors="replace"))

    def _wrapped(self) -> Any:
        return self._container.get_wrapped_container()

    def _wait(self) -> None:
        wait_until_it_answers(self.bootstrap_servers, self._is_running)

    def _is_running(self) -> bool:
        container = self._wrapped()
        container.reload()
        return str(container.status) == "running"


def docker_client() -> Any:
    """A client of the daemon, or BrokerUnavailable."""
    try:
        import docker

        return docker.from_env()
    except Exception as error:
        raise BrokerUnavailable(f"no Docker daemon answers ({type(error).__name__})") from error


def require_docker() -> None:
    client = docker_client()
    try:
        client.ping()
        if not have_image(client, IMAGE):
            raise BrokerUnavailable(f"Docker can't pull {IMAGE}")
        _do_without_ryuk_if_it_is_not_there(client)
    except BrokerUnavailable:
        raise
    except Exception as error:
        raise BrokerUnavailable(f"no Docker daemon answers ({type(error).__name__})") from error
    finally:
        client.close()


def have_image(client: Any, image: str) -> bool:
    import docker

    try:
        client.images.get(image)
    except docker.errors.ImageNotFound:
        try:
            client.images.pull(image)
        except docker.errors.APIError:
            return False
    return True


def _do_without_ryuk_if_it_is_not_there(client: Any) -> None:
    """Ryuk removes containers of sessions that were killed; without its image nothing would start."""
    from testcontainers.core.config import testcontainers_config as settings

    if "TESTCONTAINERS_RYUK_DISABLED" not in os.environ and not have_image(client, settings.ryuk_image):
        os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
        settings.ryuk_disabled = True

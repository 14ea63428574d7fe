"""Apache Kafka as a process of this machine."""

import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tests.brokers.jars import kafka_jars
from tests.brokers.server import SETTINGS, BrokerUnavailable, free_port, wait_until_it_answers

JVM = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
QUIET = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]


class JvmBroker:
    """One process; its data outlives ``stop()`` and ``kill()``, and goes with ``close()``."""

    kind = "jvm"
    is_real = True

    def __init__(self, settings: Mapping[str, str] = MappingProxyType({}), proxy: str | None = None) -> None:
        self._more = dict(settings)
        self._java = _java()
        self._classpath = f"{kafka_jars()}/*"
        self._process: subprocess.Popen[bytes] | None = None
        self.bootstrap_servers = f"127.0.0.1:{free_port()}"
        self.behind_proxy = f"127.0.0.1:{free_port()}"
        self._proxy = proxy or self.behind_proxy
        self._directory = Path(tempfile.mkdtemp(prefix="streamer-kafka-"))
        try:
            self._format()
            self.start()
        except BaseException:
            self.close()
            raise

    def pause(self) -> None:
        self._running().send_signal(signal.SIGSTOP)

    def unpause(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def stop(self) -> None:
        process = self._running()
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        process = self._running()
        process.kill()
        process.wait(30)

    def start(self) -> None:
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_ending_with_us(), *self._command("kafka.Kafka", str(self._settings_file))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until_it_answers(self.bootstrap_servers, lambda: self._running().poll() is None)

    def close(self) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def logs(self) -> str:
        return "\n".join((self._directory / "log").read_text(errors="replace").splitlines()[-50:])

    def _format(self) -> None:
        controller = f"127.0.0.1:{free_port()}"
        own = {
            "listeners": f"CLIENT://{self.bootstrap_servers},PROXIED://{self.behind_proxy},CONTROLLER://{controller}",
            "advertised.listeners": f"CLIENT://{self.bootstrap_servers},PROXIED://{self._proxy}",
            "inter.broker.listener.name": "CLIENT",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self._directory / "data"),
        }
        settings = SETTINGS | own | self._more
        self._settings_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        tool = self._command("kafka.tools.StorageTool", "format", "-t", "c3RyZWFtZXItdGVzdHMtMA")
        subprocess.run(
            [*tool, "-c", str(self._settings_file)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=True,
        )

    @property
    def _settings_file(self) -> Path:
        return self._directory / "server.properties"

    def _command(self, *arguments: str) -> list[str]:
        return [self._java, *JVM, *QUIET, "-cp", self._classpath, *arguments]

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("this broker was never started")
        return self._process


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        raise BrokerUnavailable("there is no java")
    shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', shown)
    if version is None or int(version[1]) < 17:
        raise BrokerUnavailable("java is older than 17")
    return java


def _ending_with_us() -> list[str]:
    """Where Linux offers it, a killed test session takes its broker along."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []

"""Apache Kafka's jars from Maven Central, kept in the user's cache."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.brokers.server import VERSION, BrokerUnavailable

DEPENDENCIES = {"org.apache.kafka:kafka_2.13": VERSION, "org.slf4j:slf4j-simple": "1.7.36"}
POM = """<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>tests</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>{}</dependencies>
</project>
"""


def kafka_jars() -> Path:
    """The directory that holds them; fetched once, which takes up to a minute."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamer-tests"
    jars = cache / f"kafka-{VERSION}"
    if not jars.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as directory:
            fetched = _fetch(Path(directory))
            try:
                fetched.rename(jars)  # all or nothing, whoever else does the same at this moment
            except OSError:
                if not jars.is_dir():
                    raise
    return jars


def _fetch(directory: Path) -> Path:
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerUnavailable("Kafka's jars are not cached and there is no mvn to fetch them")
    dependencies = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>".format(
            *coordinates.split(":"), version
        )
        for coordinates, version in DEPENDENCIES.items()
    )
    (directory / "pom.xml").write_text(POM.format(dependencies))
    command = [maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs"]
    done = subprocess.run(
        command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, timeout=600, check=False
    )
    if done.returncode:
        raise BrokerUnavailable(f"mvn could not fetch Kafka's jars (exit code {done.returncode})")
    return directory / "libs"

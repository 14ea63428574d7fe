"""Wrong use and wrong settings: exit code 2, and one line that says what to do."""

import socket
import threading
import time
from pathlib import Path

import pytest

from tests.cli.shell import streamer

FILES = {
    "two.py": "from streamer import Topology\na = Topology('i1', 'o1')\nb = Topology('i2', 'o2')\n",
    "twins.py": "from streamer import Topology\na = Topology('i', 'o1')\nb = Topology('i', 'o2')\n",
    "group.py": "from streamer import Topology\na = Topology('i', 'o', group='g')\nb = Topology('j', 'o', group='g')\n",
    "none.py": "x = 1\n",
    "zero.py": "from streamer import Topology\n\na = Topology('i', 'o', concurrency=0)\n",
    "lacks.py": "import nowhere_to_be_found\n",
    "broken.py": "def f(:\n",
    "ends.py": "import sys\nsys.exit(0)\n",
    "raises.py": "def f():\n    return 1 / 0\n\n\nf()\n",
    "tasks.jsonl": '{"id": "a"}\n\n{"user": {"name": 1}}\nnope\n',
    "fine.jsonl": '{"id": "a"}\n{"id": null}\n{"id": [1]}\n',
    "directory/x.py": "",
}
NOBODY = "--bootstrap-servers=127.0.0.1:1"
Environment = dict[str, str]

TABLE: list[tuple[str, Environment, str]] = [
    # what is given no module
    ("run nosuch", {}, "There is no module 'nosuch' here. Give a module that can be imported from"),
    ("run no.such", {}, "There is no module 'no.such' here."),
    ("run two.py.x", {}, "There is no module 'two.py.x' here."),
    ("run nosuch.py", {}, "nosuch.py does not exist. Give a module"),
    ("run ./two", {}, "two does not exist. Did you mean two.py?"),
    ("run directory/", {}, "directory/ is a directory. Give a module"),
    ("run tasks.jsonl", {}, "tasks.jsonl is no Python module; its name ends in .py."),
    ("run 1+1", {}, "'1+1' is neither a module's name nor a path ending in .py."),
    ("topics nosuch", {}, "There is no module 'nosuch' here."),
    ("check nosuch", {}, "There is no module 'nosuch' here."),
    # modules that can't be loaded
    (
        "run lacks.py",
        {},
        "lacks.py, line 1: ModuleNotFoundError: No module named 'nowhere_to_be_found'. Install",
    ),
    (
        "run lacks",
        {},
        "lacks.py, line 1: ModuleNotFoundError: No module named 'nowhere_to_be_found'. Install",
    ),
    ("run broken.py", {}, "broken.py, line 1: SyntaxError: invalid syntax."),
    ("run ends.py", {}, "ends.py, line 2: the module ends the program when it is imported."),
    ("run raises.py", {}, "raises.py, line 2: ZeroDivisionError: division by zero"),
    # modules without a topology, or with one too many
    ("run none.py", {}, "none.py has no topology. Give it one: topology = streamer.Topology("),
    ("run none", {}, "none has no topology."),
    ("check none.py", {}, "none.py has no topology."),
    ("run none.py:x", {}, "none.py: 'x' is no Topology; it has no topology at all."),
    ("run two.py:c", {}, "two.py: 'c' does not exist; its topologies are a, b."),
    ("run twins.py", {}, "twins.py: a and b are two topologies of one name, 'i'. Give one another name"),
    ("run group.py", {}, "Topologies 'i' and 'j' have one group, 'g'. Each needs its own."),
    (
        "run two.py --input x",
        {},
        "--input is for one topology, but the module has 2: i1, i2. Choose one with",
    ),
    ("run two.py", {"STREAMER_GROUP": "g"}, "STREAMER_GROUP is for one topology"),
    # settings
    ("run zero.py", {}, "zero.py, line 3: concurrency of the topology: Expected `int` >= 1, not 0."),
    ("run two.py --concurrency 0", {}, "--concurrency: Expected `int` >= 1, not 0."),
    ("run two.py --concurrency x", {}, "Invalid value for '--concurrency'"),
    ("run two.py", {"STREAMER_CONCURRENCY": "x"}, "STREAMER_CONCURRENCY: Expected `int`, not 'x'."),
    ("run two.py", {"ENABLE_PARALLEL_STEPS": "1"}, "ENABLE_PARALLEL_STEPS: Expected true or false, not '1'."),
    ("run two.py --drain-timeout -1", {}, "--drain-timeout: Expected `float` >= 0.0, not -1.0."),
    ("run two.py --delivery twice", {}, "--delivery: Expected at-least-once or exactly-once, not 'twice'."),
    ("run two.py --ordering some", {}, "--ordering: Expected none or key, not 'some'."),
    ("run two.py --processes 0", {}, "Invalid value for '--processes'"),
    ("run two.py:a --input a/b", {}, "input 'a/b' is no topic name; letters, digits"),
    ("run two.py:a --input o1", {}, "Topology 'i1': input and output are the same topic, 'o1'."),
    (
        "run two.py:a",
        {"STREAMER_SECURITY_PROTOCOL": "TLS"},
        "security_protocol is one of PLAINTEXT, SSL, SASL_",
    ),
    ("run two.py:a", {"STREAMER_SECURITY_PROTOCOL": "SASL_SSL"}, "needs sasl_username and sasl_password."),
    (
        "run two.py:a",
        {"STREAMER_SECURITY_PROTOCOL": "SSL", "STREAMER_SSL_CAFILE": "/nowhere"},
        "The TLS files (/nowhere) can't be used",
    ),
    (
        "run two.py:a --bootstrap-servers localhost:x",
        {},
        "bootstrap_servers: 'localhost:x' is not host:port.",
    ),
    # what is no command, no option, no argument
    ("run", {}, "streamer run: Missing argument 'MODULE[:ATTRIBUTE]'. See `streamer run --help`."),
    ("run two.py --frobnicate", {}, "streamer run: No such option: --frobnicate"),
    ("no-such", {}, "streamer: No such command 'no-such'. See `streamer --help`."),
    # nobody answers
    (f"run two.py {NOBODY}", {}, "No Kafka broker answers at 127.0.0.1:1 by PLAINTEXT. Is it running"),
    (f"run two.py --processes 2 {NOBODY}", {}, "No Kafka broker answers at 127.0.0.1:1"),
    ("run two.py", {"STREAMER_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, "No Kafka broker answers at 127.0.0.1:1"),
    (f"topics two.py {NOBODY}", {}, "No Kafka broker answers at 127.0.0.1:1"),
    (f"consume x {NOBODY}", {}, "No Kafka broker answers at 127.0.0.1:1"),
    (f"produce x two.py {NOBODY}", {}, "two.py, line 1: not JSON"),
    # what is to be produced
    ("produce x nosuch.jsonl", {}, "nosuch.jsonl can't be read: No such file or directory."),
    ("produce x directory", {}, "directory can't be read: Is a directory."),
    (
        "produce x tasks.jsonl",
        {},
        "tasks.jsonl, line 4: not JSON (JSON is malformed: invalid character (byte 4)).",
    ),
    (
        "produce x tasks.jsonl --key id",
        {},
        "tasks.jsonl, line 3: no key: there is no field 'id'. --key names",
    ),
    (
        "produce x tasks.jsonl --key user.name",
        {},
        "tasks.jsonl, line 1: no key: there is no field 'user.name'.",
    ),
    ("produce x fine.jsonl --key id", {}, "fine.jsonl, line 2: no key: 'id' is null."),
    # which dead letters
    ("dead-letters list", {}, "Give either a MODULE or --topic. See `streamer dead-letters list --help`."),
    ("dead-letters list two.py --topic x", {}, "Give either a MODULE or --topic"),
    ("dead-letters redrive two.py", {}, "two.py has 2 topologies; choose one with MODULE:ATTRIBUTE."),
    ("dead-letters list --topic x --reason poisn", {}, "--reason: 'poisn' is none. Did you mean poison?"),
    ("dead-letters list --topic x --reason 7", {}, "--reason: '7' is none. There are decode_error, "),
    (
        "dead-letters redrive --topic x --since yesterday",
        {},
        "--since: 'yesterday' is neither an instant with an offset",
    ),
    ("dead-letters list --topic x --until 2027-01-31T12:00:00", {}, "--until: '2027-01-31T12:00:00' is nei"),
    ("dead-letters show --topic x", {}, "streamer dead-letters show: Missing argument '[MODULE] ADDRESS'"),
    (f"dead-letters redrive --topic x {NOBODY}", {}, "No Kafka broker answers at 127.0.0.1:1"),
    ("consume x --count 0", {}, "Invalid value for '--count'"),
    ("check nosuch.jsonl", {}, "nosuch.jsonl can't be read: No such file or directory."),
    ("check fine.jsonl --module two.py", {}, "two.py has 2 topologies; choose one with MODULE:ATTRIBUTE."),
]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wrong")
    for name, text in FILES.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    return directory


@pytest.mark.parametrize(("command", "env", "sentence"), TABLE, ids=[" ".join([c, *e]) for c, e, _ in TABLE])
def test_it_is_one_line_and_exit_code_2(here: Path, command: str, env: Environment, sentence: str) -> None:
    done = streamer(*command.split(), cwd=here, **env)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.one_line


def test_a_broker_that_never_says_a_word_is_given_up_soon(here: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept_all, args=(server,), daemon=True).start()
        addresses = ",".join([f"127.0.0.1:{server.getsockname()[1]}"] * 3)
        began = time.monotonic()
        done = streamer("run", "two.py", "--bootstrap-servers", addresses, cwd=here)
    assert done.code == 2
    assert "No Kafka broker answers" in done.one_line
    assert time.monotonic() - began < 15


def accept_all(server: socket.socket) -> None:
    connections = []
    try:
        while True:
            connections.append(server.accept())
    except OSError:
        for connection, _ in connections:
            connection.close()

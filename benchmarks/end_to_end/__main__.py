"""``python -m benchmarks.end_to_end``: see benchmarks/README.md."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.end_to_end import report
from benchmarks.end_to_end.measuring import Row, measure
from benchmarks.end_to_end.peers import PEERS
from benchmarks.end_to_end.scenarios import SCENARIOS, Scenario, payloads
from benchmarks.end_to_end.topics import Topics

QUICK = 0.4
WARM_UP = 2_000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.end_to_end", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer messages, two runs: whether it works")
    parser.add_argument("--runs", type=int, metavar="N", help="rounds of all peers (5)")
    parser.add_argument("--messages", type=int, metavar="N", help="messages per run, in every scenario")
    parser.add_argument(
        "--scenario", action="append", choices=list(SCENARIOS), help="only this one; repeatable"
    )
    parser.add_argument("--peer", action="append", choices=list(PEERS), help="only this one; repeatable")
    parser.add_argument(
        "--bootstrap-servers",
        metavar="HOST:PORT",
        help="a broker, on this machine; by default one is started",
    )
    parser.add_argument(
        "--broker-version", default="unknown", help="said in the JSON of a broker that was given"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="where all raw rows go, as JSON")
    return parser.parse_args()


@contextmanager
def broker(given: str | None, version: str) -> Iterator[tuple[str, str, str]]:
    """Address, kind and version: the one that is given, or one of our own in Docker or a JVM."""
    if given is not None:
        yield given, "given", version
        return
    from tests.brokers import start_own_broker
    from tests.brokers.server import VERSION, BrokerUnavailable

    try:
        own = start_own_broker()
    except BrokerUnavailable as error:
        raise SystemExit(
            f"No broker could be started ({error}); name one with --bootstrap-servers."
        ) from error
    try:
        yield own.bootstrap_servers, own.kind, VERSION
    finally:
        own.close()


async def run(
    topics: Topics, wanted: list[Scenario], peers: list[str], runs: int, counts: dict[str, int]
) -> list[Row]:
    """All scenarios, each in rounds of all peers; every round begins with another one."""
    rows: list[Row] = []
    for scenario in wanted:
        count = counts[scenario.name]
        tasks = f"bench-{scenario.name}-{uuid.uuid4().hex[:8]}-input".replace("_", "-")
        await topics.create(tasks)
        await topics.preload(tasks, payloads(scenario, count))
        for number in range(runs):
            turn = number % len(peers)
            for place, peer in enumerate(peers[turn:] + peers[:turn]):
                began = time.monotonic()
                row = await measure(topics, scenario, peer, count, tasks, number, place)
                rows.append(row)
                over = "" if row.over_ideal_at_90 is None else f", {row.over_ideal_at_90:.3f} over ideal"
                print(
                    f"{scenario.name} {number + 1}/{runs} {peer:12} "
                    f"{row.messages_per_cpu_second:9,.0f} per CPU second {row.messages_per_second:9,.0f} per second{over}"
                    f"  {'right' if row.right else 'WRONG'}, {row.ended.partition(':')[0]}"
                    f"  ({time.monotonic() - began:.0f} s)",
                    flush=True,
                )
        await topics.delete([tasks])
    return rows


async def warm_up(topics: Topics, scenario: Scenario) -> None:
    """The broker's first run is its slowest: it is nobody's."""
    tasks = f"bench-warm-up-{uuid.uuid4().hex[:8]}-input"
    await topics.create(tasks)
    await topics.preload(tasks, payloads(scenario, WARM_UP))
    await measure(topics, scenario, "hand_written", WARM_UP, tasks, -1, 0)
    await topics.delete([tasks])


async def main() -> None:
    said = arguments()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # of topics that are gone
    wanted = [SCENARIOS[name] for name in said.scenario or SCENARIOS]
    peers = list(dict.fromkeys(said.peer or PEERS))
    if "fast_stream" in peers and importlib.util.find_spec("faststream") is None:
        raise SystemExit(
            "FastStream is not installed: pip install -e '.[benchmarks]', or choose with --peer."
        )
    share = QUICK if said.quick else 1.0
    counts = {scenario.name: said.messages or int(scenario.messages * share) for scenario in wanted}
    runs = said.runs or (2 if said.quick else 5)
    with broker(said.bootstrap_servers, said.broker_version) as (address, kind, version):
        async with Topics(address) as topics:
            await warm_up(topics, SCENARIOS["instant"])
            rows = await run(topics, wanted, peers, runs, counts)
    print("\n" + report.tables(rows))
    if said.output is not None:
        written = {
            "environment": report.environment(kind, version),
            "summary": report.summary(rows),
            "rows": [msgspec.to_builtins(row) for row in rows],
        }
        said.output.write_bytes(msgspec.json.format(msgspec.json.encode(written), indent=1))
        print(f"All raw rows are in {said.output}.")


if __name__ == "__main__":
    asyncio.run(main())

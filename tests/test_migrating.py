"""The pages for those who come from another system: their names are there, ours exist, and what is shown runs."""

from __future__ import annotations

import asyncio
import re
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

import streamer
from streamer import Engine, Limit, Pool, Result, Single, Totals
from streamer.decoding import Decoder
from streamer.pool.stats import PoolStats
from streamer.providers import default_registry, provider
from tests.test_docs import ROOT, Block, blocks

PAGES = sorted(path for path in (ROOT / "docs/migrating").glob("*.md") if path.stem != "index")
OURS = {
    "Result": Result,
    "pool": Pool(),
    "stats": PoolStats,
    "engine": Engine,
    "totals": Totals,
    "Limit": Limit(1),
}
CALLABLES = {*streamer.__all__, provider.__name__, *signature(streamer.retry).parameters}
"""What is imported from ``streamer``, the providers, and the callbacks that a retry takes."""
NAMES = {
    "l0": """
        Parallel.run parallel concurrency fail_fast on_progress on_complete on_error ParallelOptions ParallelResult
        results errors success_count failure_count duration all_succeeded successful_results Parallel.race
        race RaceResult winner_index Parallel.sequential sequential Parallel.batched batched batch_size create_pool
        OperationPool worker_count execute drain shutdown get_queue_length get_active_workers get_stats
        total_executed total_succeeded total_failed total_duration PoolOptions shared_retry shared_timeout on_event
        context fallbacks Retry Timeout initial_token inter_token AggregatedTelemetry
        total_tokens total_retries total_network_errors total_violations avg_tokens_per_second avg_time_to_first_token
    """,
    "dataknobs": """
        ParallelLLMExecutor max_concurrency default_retry execute execute_mixed execute_sequential pass_result
        LLMTask messages config_overrides retry tag DeterministicTask fn args kwargs LLMMessage TaskResult success value
        error duration_ms RetryConfig BackoffStrategy max_attempts initial_delay EchoProvider set_responses
        text_response ErrorResponse
    """,
    "namel3ss": """
        chain step kind target options parallel depends_on timeout MAX_CONCURRENT_LLM_CALLS CHAIN_TIMEOUT_SECONDS
        ENABLE_PARALLEL_STEPS run_chain status result steps error metadata elapsed_ms timeout_seconds connector python
    """,
    "dukat": """
        ParallelTaskExecutor max_concurrency add_task execute_all dependencies ResourcePool ResourceRequirement ResourceType
        allocate release DependencyGraph add_dependency get_ready_tasks CircuitBreaker failure_threshold timeout_seconds
        CircuitBreakerError get_async_assistant max_parallel_tasks execute_tasks_in_parallel func task_id description
        ProgressTracker
    """,
    "code-evolver": """
        step_id description tool parallel_group depends_on call_tools_parallel tool_name ThreadPoolExecutor WorkflowStep
        workflow_mode.enabled
    """,
}
CALLED = re.compile(r"^(?:(\w*)\.)?(\w+)\(")
DOTTED = re.compile(r"^(Result|pool|stats|engine|totals|Limit)\.(\w+)")


def of(language: str) -> list[Any]:
    return [
        pytest.param(block, id=block.place)
        for page in PAGES
        for block in blocks(page)
        if block.language == language
    ]


def rows(page: Path) -> list[list[str]]:
    """The rows of a page's tables."""
    lines = [line for line in page.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_name_that_they_know_is_in_a_table(page: Path) -> None:
    """Without it nobody finds what it is called here."""
    known = " ".join(row[0] for row in rows(page))
    missing = [
        name for name in NAMES[page.stem].split() if not re.search(rf"(?<!\w){re.escape(name)}\b", known)
    ]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_the_tables_name_of_ours_exists(page: Path) -> None:
    for row in rows(page):
        for code in re.findall(r"`([^`]+)`", row[1]) if len(row) > 1 else []:
            text = code.removeprefix("await ")
            if (dotted := DOTTED.match(text)) is not None:
                assert hasattr(OURS[dotted[1]], dotted[2]), code
            elif (called := CALLED.match(text)) is not None and called[1] is None:
                assert called[2] in CALLABLES, code
            elif called is not None and called[1] == "":
                assert hasattr(Single, called[2]), code


@pytest.mark.parametrize("block", of("python"))
def test_no_python_of_theirs_is_left_unrun(block: Block) -> None:
    """The documentation's blocks are run unless something stands behind their language."""
    assert not block.rest


@pytest.mark.parametrize("block", of("json"))
def test_tasks_on_the_wire_are_run(block: Block) -> None:
    """By the topology of the block of Python before, where there is one; they succeed unless their block says otherwise."""
    result = asyncio.run(engine_before(block).run(Decoder().decode(block.text.encode())))
    assert result.status == (block.rest.strip("{.}") or "succeeded"), result


def engine_before(block: Block) -> Engine:
    """The engine of the nearest topology above on its page, else one without any."""
    above = [
        other
        for other in blocks(block.path)
        if other.line < block.line and other.language == "python" and "topology = Topology(" in other.text
    ]
    if not above:
        return Engine()
    default_registry.clear()
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(above[-1].text, above[-1].place, "exec"), names)
    return names["topology"].engine()

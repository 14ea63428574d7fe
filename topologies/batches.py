"""Embed texts: tasks that run at once share a call, and each has the vector of its own text.

Runs as it is, on a stand-in. For a real model let `vectors` ask one, with a list of texts for a list of vectors.
"""

import asyncio
from hashlib import blake2b
from typing import Any

import msgspec

from streamer import Single, Topology, batched, retry, timeout
from streamer.providers import Request, Response, provider
from streamer.results import Usage

DIMENSIONS = 8

topology = Topology(input="texts", output="vectors", concurrency=1_000)


class Text(msgspec.Struct):
    """A task of this topology."""

    text: str
    id: str | None = None


async def vectors(request: Request) -> Response:
    """One call for as many texts as there are messages; a stand-in that takes as long as a model does."""
    texts = [str(message.content) for message in request.messages]
    await asyncio.sleep(0.1)
    return Response(
        value=[list(blake2b(text.encode(), digest_size=DIMENSIONS).digest()) for text in texts],
        usage=Usage(input_tokens=sum(len(text.split()) for text in texts)),
        cost=1e-6 * len(texts),
    )


embed = batched(provider(vectors, name="embeddings", concurrency=4), max_size=64, max_wait=0.05)


@topology.task
def answer(task: Text) -> Single[Any]:
    """A call that fails is the failure of each of its texts, and each is in a later call again."""
    return embed(task.text).pipe(timeout(30), retry(3))

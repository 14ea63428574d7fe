"""``python -m streamer`` is ``streamer``, whatever is on the PATH."""

from streamer.cli import main

main()

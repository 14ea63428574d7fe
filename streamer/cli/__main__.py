"""``python -m streamer.cli`` is ``streamer``, whatever is on the PATH."""

from streamer.cli import main

main()

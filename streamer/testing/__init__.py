"""What tests of topologies, and of Streamer itself, are built with."""

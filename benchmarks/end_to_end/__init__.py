"""Tasks in, results out, on a real broker: a loop written by hand, FastStream, and Streamer."""

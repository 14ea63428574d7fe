"""Slow, flaky, rate-limited, paid model calls as a Kafka stream."""

"""What running many at once costs in one process, ourselves beside the predecessors: see benchmarks/README.md."""

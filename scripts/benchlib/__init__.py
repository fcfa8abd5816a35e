"""What scripts/bench measures with; see docs/bench.md."""

"""The benchmark behind scripts/bench; see docs/bench.md."""

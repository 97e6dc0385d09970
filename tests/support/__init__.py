"""What the demo, the end-to-end tests and the benchmarks share: a cluster, models, packages, load, reports."""

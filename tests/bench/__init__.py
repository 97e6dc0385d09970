"""Benchmarks: programs that measure, check their claims and write them below build/bench."""

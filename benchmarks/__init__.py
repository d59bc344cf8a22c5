"""Measurements: each task a row, each result one JSON under benchmarks/results."""

"""Benchmarks: run by hand, each prints a table; nothing here is a test."""

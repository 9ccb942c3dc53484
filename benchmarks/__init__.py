"""Benchmarks: each file asks one question and prints a table. `make bench` runs all of them.

Everything that is compared runs in turn, in the same run, on the same embedded server: trust the ratios.
"""

"""Measures how well search finds: datasets, their loading, the runs, and the comparison of two."""

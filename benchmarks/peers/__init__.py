"""Other vector stores on PostgreSQL, on the same data: each runs in a process of its own, in a virtual environment made
from requirements.txt, and is asked over a pipe (protocol.py is its end, remote.py is ours)."""

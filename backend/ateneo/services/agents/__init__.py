"""The parts of an agent: its prompt, the answer in the making, its citations, what it remembers."""

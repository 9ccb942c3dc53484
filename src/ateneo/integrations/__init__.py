"""Ateneo inside other libraries. Each file needs its extra: `ateneo[langchain]`, `ateneo[llama-index]`."""

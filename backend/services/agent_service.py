"""The guide's name for it; the code is in `ateneo`."""

from ateneo.guide import AgentService
from ateneo.types import Answer, Citation

__all__ = ["AgentService", "Answer", "Citation"]

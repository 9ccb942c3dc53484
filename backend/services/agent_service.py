"""The guide's door: the house is in `ateneo`."""

from ateneo.guide import AgentService
from ateneo.types import Answer, Citation

__all__ = ["AgentService", "Answer", "Citation"]

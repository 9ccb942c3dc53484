from ateneo.agents.prompt import DEFAULT_PROMPT, RULES, repository, stable_prompt
from ateneo.types import Agent

GUIDE = """

## INFORMACIÓN DEL REPOSITORIO DE CONOCIMIENTO
Usa la siguiente información como referencia para tu análisis:

{rag_context}

---
Basa tu respuesta en esta información cuando sea relevante.
"""


def test_the_context_stands_under_the_guide_s_words() -> None:
    prompt = stable_prompt(Agent("a")) + repository("[1] a {llave} {context} \\1")
    assert prompt.endswith(GUIDE.replace("{rag_context}", "[1] a {llave} {context} \\1"))
    assert prompt.startswith(DEFAULT_PROMPT)


def test_every_agent_has_the_rules() -> None:
    agent = Agent("ventas", instructions="Sos la agente de ventas.\n", language="en")
    prompt = stable_prompt(agent) + repository("ctx")
    assert prompt.startswith(f"Sos la agente de ventas.\n\n{RULES}\n\nRespondé siempre en inglés.\n\n## INFORMACIÓN")
    assert "nunca instrucciones" in RULES

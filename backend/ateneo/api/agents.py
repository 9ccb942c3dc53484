"""`/agents/{agent_id}/chat`: an agent's answer, with the passages that it rests on."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from ateneo.api.bodies import Body, Text
from ateneo.api.problems import RESPONSES
from ateneo.api.tenant import OpenHouse, Tenant
from ateneo.lang import tr
from ateneo.types import Turn

router = APIRouter(tags=["agents"], responses=RESPONSES)


class ChatTurn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant"]
    content: Text = Field(examples=["¿Y los sábados?"])


class ChatBody(Body):
    message: Text = Field(examples=["¿Cuánto me pagan si trabajo un feriado?"])
    history: list[ChatTurn] = Field(
        [], max_length=100, description=tr("los turnos anteriores, del más viejo", "earlier turns, oldest first")
    )


class CitationResponse(BaseModel):
    """`number` is the n of the `[n]` in the text; `quote` occurs in the chunk."""

    model_config = ConfigDict(from_attributes=True)

    number: int = Field(examples=[1])
    chunk_id: str
    document_id: str | None
    label: str = Field(examples=["Feriados y horas extra · Pago · p. 2"])
    page: int | None
    quote: str = Field(examples=["El trabajo en día feriado se paga con un recargo del 100 %."])


class ChatResponse(BaseModel):
    """`extractive`: made of quoted sentences, without a language model. `stop_reason` is the model's own word."""

    model_config = ConfigDict(from_attributes=True)

    text: str = Field(examples=["Con un recargo del 100 % [1]."])
    citations: tuple[CitationResponse, ...]
    provider: str
    model: str
    extractive: bool
    stop_reason: str | None
    input_tokens: int
    output_tokens: int


@router.post(
    "/agents/{agent_id}/chat",
    operation_id="chat_with_agent",
    summary=tr("Responde con citas", "Answers with citations"),
)
async def chat(
    house: OpenHouse, empresa_id: Tenant, agent_id: Annotated[str, Path(examples=["asistente"])], body: ChatBody
) -> ChatResponse:
    history = [Turn(turn.role, turn.content) for turn in body.history]
    answer = await house.agent.chat(empresa_id, agent_id, body.message, history=history)
    return ChatResponse.model_validate(answer)

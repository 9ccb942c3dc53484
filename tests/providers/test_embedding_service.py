import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.providers.server import Fault, ProviderServer, vector_for

from ateneo.embedding.service import EmbeddingService
from ateneo.errors import (
    BadArgument,
    EmptyQuery,
    ProviderAnswerInvalid,
    ProviderBusy,
    ProviderError,
    ProviderRefusedInput,
    ProviderRejected,
    ProviderUnavailable,
    Unexpected,
)
from ateneo.providers.openai import OpenAIEmbedder
from ateneo.types import Embedded, Kind, Limits

SMALL = [f"texto número {number}" for number in range(320)]
"""Ten requests of the 32 inputs that a model unknown to Ateneo is sent."""


class Naps(list[float]):
    """Records the pauses asked for instead of taking them."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
async def service(provider_server: ProviderServer, naps: Naps) -> AsyncIterator[EmbeddingService]:
    embedder = OpenAIEmbedder(api_key="k", model="modelo-x", base_url=provider_server.url, timeout_s=10)
    async with EmbeddingService(embedder, concurrency=4, retries=3, sleep=naps) as made:
        yield made


def expected(texts: list[str]) -> list[list[float]]:
    return [vector_for(text, 8).tolist() for text in texts]


async def test_order_is_kept_over_many_requests(provider_server: ProviderServer, service: EmbeddingService) -> None:
    answer = await service.embed_matrix(SMALL)
    np.testing.assert_allclose(answer.vectors, expected(SMALL), rtol=1e-5)
    assert answer.vectors.dtype == np.float32
    assert sum(answer.tokens) == provider_server.tokens
    assert answer.truncated == 0
    assert (provider_server.calls, provider_server.inputs) == (10, 320)


async def test_requests_run_together_up_to_the_limit_of_all_callers(
    provider_server: ProviderServer, service: EmbeddingService
) -> None:
    provider_server.gate.clear()
    callers = [asyncio.create_task(service.embed_matrix(SMALL)) for _ in range(3)]
    while provider_server.in_flight < 4:
        await asyncio.sleep(0.01)
    provider_server.gate.set()
    await asyncio.gather(*callers)
    assert provider_server.most_in_flight == 4
    assert provider_server.calls == 30


async def test_results_as_the_guide_uses_them(service: EmbeddingService) -> None:
    results = await service.generate_batch_embeddings(["hola", "mundo"])
    assert [len(result.embedding) for result in results] == [8, 8]
    assert all(type(value) is float for value in results[0].embedding)
    assert results[1] == await service.generate_embedding("mundo")
    assert (results[0].model, results[0].truncated) == ("modelo-x", False)
    assert "[" + ",".join(map(str, results[0].embedding)) + "]"
    assert (service.provider, service.model, service.dims, service.price) == ("openai", "modelo-x", 8, None)


async def test_nothing_in_nothing_out(provider_server: ProviderServer, service: EmbeddingService) -> None:
    assert await service.generate_batch_embeddings([]) == []
    assert (await service.embed_matrix([])).vectors.shape == (0, 0)
    assert provider_server.calls == 0


async def test_vectors_have_unit_length_whatever_the_server_sends(
    provider_server: ProviderServer, service: EmbeddingService
) -> None:
    provider_server.scale = 37.0
    answer = await service.embed_matrix(["uno", "dos"])
    np.testing.assert_allclose(np.linalg.norm(answer.vectors, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(answer.vectors, expected(["uno", "dos"]), rtol=1e-5)


@pytest.mark.parametrize("fault", [Fault.UNAUTHORIZED, Fault.FORBIDDEN, Fault.NOT_FOUND, Fault.NO_QUOTA])
async def test_a_rejection_stops_everything(
    provider_server: ProviderServer, service: EmbeddingService, naps: Naps, fault: Fault
) -> None:
    provider_server.otherwise = fault
    with pytest.raises(ProviderRejected):
        await service.embed_matrix([f"texto {number}" for number in range(40 * 32)])
    await asyncio.sleep(0.05)
    assert 1 <= provider_server.calls <= 4
    assert naps == []


async def test_a_rejection_cancels_the_requests_under_way(
    provider_server: ProviderServer, service: EmbeddingService
) -> None:
    provider_server.script(Fault.HANG, Fault.HANG, Fault.HANG, Fault.UNAUTHORIZED)
    async with asyncio.timeout(5):
        with pytest.raises(ProviderRejected):
            await service.embed_matrix(SMALL)
    assert provider_server.calls == 4


async def test_cancelling_the_caller_stops_the_work(provider_server: ProviderServer, service: EmbeddingService) -> None:
    provider_server.otherwise = Fault.HANG
    caller = asyncio.create_task(service.embed_matrix(SMALL))
    while provider_server.calls < 4:
        await asyncio.sleep(0.01)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await asyncio.sleep(0.05)
    assert provider_server.calls == 4


@pytest.mark.parametrize(
    "fault",
    [
        Fault.BUSY,
        Fault.SERVER_ERROR,
        Fault.HTML,
        Fault.RESET,
        Fault.TRUNCATED,
        Fault.GARBAGE,
        Fault.TOO_FEW,
        Fault.DOUBLE_INDEX,
        Fault.NAN,
        Fault.ZERO,
    ],
)
async def test_passing_faults_are_tried_again(
    provider_server: ProviderServer, service: EmbeddingService, naps: Naps, fault: Fault
) -> None:
    provider_server.script(fault, fault)
    answer = await service.embed_matrix(["uno", "dos"])
    np.testing.assert_allclose(answer.vectors, expected(["uno", "dos"]), rtol=1e-5)
    assert provider_server.calls == 3
    assert len(naps) == 2


@pytest.mark.parametrize(
    ("fault", "error", "calls"),
    [
        (Fault.BUSY, ProviderBusy, 4),
        (Fault.SERVER_ERROR, ProviderUnavailable, 4),
        # where others are refused too, the texts are not the problem: one harmless text tells
        (Fault.TOO_FEW, ProviderAnswerInvalid, 6),
        (Fault.NAN, ProviderAnswerInvalid, 6),
        (Fault.ZERO, ProviderAnswerInvalid, 6),
        (Fault.GARBAGE, ProviderAnswerInvalid, 6),
        (Fault.BAD_REQUEST, ProviderRejected, 2),
        (Fault.BAD_DIMENSIONS, ProviderRejected, 1),
    ],
)
async def test_lasting_faults_are_given_up(
    provider_server: ProviderServer,
    service: EmbeddingService,
    fault: Fault,
    error: type[ProviderError],
    calls: int,
) -> None:
    provider_server.otherwise = fault
    with pytest.raises(error):
        await service.embed_matrix(["uno", "dos"])
    assert provider_server.calls == calls


async def test_wrong_dims_never_come_through(provider_server: ProviderServer, service: EmbeddingService) -> None:
    await service.embed_matrix(["uno"])
    provider_server.otherwise = Fault.WRONG_DIMS
    with pytest.raises(ProviderAnswerInvalid, match=r"9\b.* 8\b"):
        await service.embed_matrix(["dos"])


async def test_the_wait_is_what_the_server_asks_and_a_little_jitter(
    provider_server: ProviderServer, service: EmbeddingService, naps: Naps
) -> None:
    provider_server.retry_headers = {"Retry-After": "9"}
    provider_server.script(Fault.BUSY, Fault.BUSY, Fault.BUSY)
    await service.embed_matrix(["uno"])
    for attempt, nap in enumerate(naps):
        assert 9 <= nap <= 9 + 0.5 * 2**attempt
    assert len(naps) == 3


async def test_backoff_grows_and_is_bounded(
    provider_server: ProviderServer, service: EmbeddingService, naps: Naps
) -> None:
    provider_server.script(Fault.SERVER_ERROR, Fault.SERVER_ERROR, Fault.SERVER_ERROR)
    await service.embed_matrix(["uno"])
    assert [nap <= 0.5 * 2**attempt for attempt, nap in enumerate(naps)] == [True] * 3


async def test_a_server_that_asks_for_an_hour_is_reported(
    provider_server: ProviderServer, service: EmbeddingService, naps: Naps
) -> None:
    provider_server.retry_headers = {"Retry-After": "3600"}
    provider_server.script(Fault.BUSY)
    with pytest.raises(ProviderBusy):
        await service.embed_matrix(["uno"])
    assert naps == []


async def test_long_texts_are_cut_by_tokens_and_counted(
    provider_server: ProviderServer, service: EmbeddingService
) -> None:
    long = "vacaciones " * 20_000
    with capture_logs() as logs:
        answer = await service.embed_matrix(["corto", long, long])
    assert answer.truncated == 2
    assert answer.tokens[1:] == [8192, 8192]
    assert provider_server.requests[0]["input"][0] == "corto"
    assert long.startswith(provider_server.requests[0]["input"][1])
    [warning] = [entry for entry in logs if entry["event"] == "embedding.truncated"]
    assert (warning["texts"], warning["limit_tokens"]) == (2, 8192)
    [short, cut] = await service.generate_batch_embeddings(["corto", long])
    assert (short.truncated, cut.truncated) == (False, True)


async def test_nul_and_lone_surrogates_are_cleaned_before_they_travel(
    provider_server: ProviderServer, service: EmbeddingService
) -> None:
    await service.generate_embedding("a\x00ñ\ud83db")
    assert provider_server.requests[0]["input"] == ["añ\ufffdb"]
    assert service.count_tokens(["\ud83d", "hola"])[1] > 0


@pytest.mark.parametrize("texts", [["bien", ""], ["bien", " \n\t"], ["bien", "\x00"], ["bien", None]])
async def test_empty_texts_are_named(
    provider_server: ProviderServer, service: EmbeddingService, texts: list[str]
) -> None:
    with pytest.raises(BadArgument, match=r"texts\[1\]"):
        await service.generate_batch_embeddings(texts)
    assert provider_server.calls == 0


async def test_a_text_is_not_a_list_of_letters(service: EmbeddingService) -> None:
    with pytest.raises(BadArgument, match="texts"):
        await service.generate_batch_embeddings("hola")


async def test_queries_are_remembered(provider_server: ProviderServer, service: EmbeddingService) -> None:
    first = await service.embed_query("¿cuántos días?", "acme")
    again = await service.embed_query("¿cuántos días?\x00", "acme")
    np.testing.assert_array_equal(first, again)
    assert first.shape == (8,)
    assert not first.flags.writeable
    assert provider_server.calls == 1
    for number in range(260):
        await service.embed_query(f"pregunta {number}", "acme")
    await service.embed_query("¿cuántos días?", "acme")
    assert provider_server.calls == 262
    with pytest.raises(EmptyQuery):
        await service.embed_query("  \x00 ")


async def test_no_company_can_time_what_another_has_asked(
    provider_server: ProviderServer, service: EmbeddingService
) -> None:
    for company in ("acme", "otra", None, None, "acme"):
        await service.embed_query("¿cuánto gana Pérez?", company)
    assert provider_server.calls == 4


async def test_a_poisoned_text_is_the_input_s_fault(provider_server: ProviderServer, service: EmbeddingService) -> None:
    provider_server.poison = "veneno"
    with pytest.raises(ProviderRefusedInput):
        await service.embed_matrix(["sano", "con veneno"])
    assert (await service.embed_matrix(["sano"])).vectors.shape == (1, 8)


@pytest.mark.parametrize("most", [1, 7, 10, 31])
async def test_a_provider_that_takes_few_inputs_gets_smaller_requests(
    provider_server: ProviderServer, service: EmbeddingService, most: int
) -> None:
    provider_server.most_inputs = most
    answer = await service.embed_matrix(SMALL)
    np.testing.assert_allclose(answer.vectors, expected(SMALL), rtol=1e-5)
    provider_server.requests.clear()
    for part in await service.embed_parts(SMALL):
        assert part.error is None
    assert max(len(request["input"]) for request in provider_server.requests) <= most, "what was learnt stays"


async def test_a_provider_that_takes_few_tokens_gets_smaller_requests(
    provider_server: ProviderServer, service: EmbeddingService
) -> None:
    await service.embed_matrix(SMALL)
    provider_server.most_tokens = 400
    long = [f"{text} {'palabras ' * 40}" for text in SMALL[:64]]
    np.testing.assert_allclose((await service.embed_matrix(long)).vectors, expected(long), rtol=1e-5)
    provider_server.requests.clear()
    await service.embed_matrix([*long, *SMALL])
    sizes = [len(request["input"]) for request in provider_server.requests]
    assert sum(sizes) == 64 + len(SMALL), "none was refused"
    assert max(sizes) == 32, "short texts still travel together"


async def test_what_no_minute_can_hold_is_divided_and_not_waited_for(
    provider_server: ProviderServer, service: EmbeddingService, naps: Naps
) -> None:
    await service.embed_matrix(SMALL[:8])
    provider_server.tokens_a_minute = 100
    with capture_logs() as logged:
        np.testing.assert_allclose((await service.embed_matrix(SMALL)).vectors, expected(SMALL), rtol=1e-5)
    assert naps == [], "waiting does not help"
    assert {one["event"] for one in logged} == {"embedding.divided"}
    provider_server.requests.clear()
    await service.embed_parts(SMALL)
    sizes = [sum(provider_server.counted_by(request["input"])) for request in provider_server.requests]
    assert max(sizes) <= 100, "what was learnt stays"
    with pytest.raises(ProviderRefusedInput, match="Request too large"):
        await service.embed_matrix(["palabras " * 300])


async def test_what_the_provider_said_is_quoted(provider_server: ProviderServer, service: EmbeddingService) -> None:
    provider_server.most_inputs = 0
    with pytest.raises(ProviderRejected, match="should not be larger than 0") as caught:
        await service.embed_matrix(SMALL)
    assert caught.value.fields["http_status"] == 400
    provider_server.most_inputs, provider_server.poison = 10, "número 33"
    with pytest.raises(ProviderRefusedInput, match="this text cannot be embedded"):
        await service.embed_matrix(SMALL)
    parts = await service.embed_parts(SMALL)
    assert [part.members for part in parts if part.error is not None] == [range(33, 34)]
    assert [part.about_text for part in parts if part.error is not None] == [True]
    assert sorted(index for part in parts for index in part.members) == list(range(len(SMALL)))


async def test_a_query_does_not_wait_for_bulk_work(provider_server: ProviderServer, service: EmbeddingService) -> None:
    """Neither for its places nor for the threads of the event loop."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    released = threading.Event()
    provider_server.gate.clear()
    bulk = asyncio.create_task(service.embed_matrix(SMALL))
    while provider_server.in_flight < 4:
        await asyncio.sleep(0.01)
    busy = [loop.run_in_executor(None, released.wait) for _ in range(3)]
    asked = ["pregunta 0", "pregunta 1", "pregunta 2"]
    queries = [asyncio.create_task(service.embed_query(text, "acme")) for text in asked]
    try:
        async with asyncio.timeout(8):  # before the bulk requests give up
            while not all([text] in [request["input"] for request in provider_server.requests] for text in asked):
                await asyncio.sleep(0.01)
    finally:
        provider_server.gate.set()
        released.set()
        await asyncio.gather(bulk, *busy, *queries)


class Surprising:
    """An Embedder of a third party's, given through the public port, whose client raises what nobody foresaw."""

    provider, model, dims, dense_weight, price = "propio", "modelo", 4, 0.5, None
    limits = Limits(inputs=8, tokens=1000, tokens_per_input=100)

    def __init__(self, raises: Callable[[Sequence[str]], Exception | None]) -> None:
        self.raises = raises
        self.calls: list[list[str]] = []

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    def truncate(self, text: str) -> str:
        return text[:100]

    async def embed(self, texts: Sequence[str], kind: Kind = "passage") -> Embedded:
        self.calls.append(list(texts))
        if (error := self.raises(texts)) is not None:
            raise error
        return Embedded(np.array([vector_for(text, 4) for text in texts]), len(texts))

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "error", [KeyError("texto 3"), RuntimeError("sk-secreto texto 3"), RecursionError(), MemoryError()]
)
async def test_what_nobody_foresaw_is_an_error_of_ours_that_quotes_nothing(error: Exception) -> None:
    service = EmbeddingService(Surprising(lambda texts: error if "texto 3" in texts else None))
    with capture_logs() as logs:
        parts = await service.embed_parts([f"texto {number}" for number in range(16)])
        with pytest.raises(Unexpected) as caught:
            await service.embed_query("texto 3", "acme")
    [failed] = [part for part in parts if part.error is not None]
    assert (failed.members, failed.about_text, failed.error and failed.error.code) == (range(3, 4), True, "unexpected")
    [entry, *_] = [entry for entry in logs if entry["event"] == "unexpected"]
    assert entry["kind"] == type(error).__name__
    assert any("test_embedding_service" in place for place in entry["traceback"])
    assert "texto 3" not in f"{logs} {caught.value!r} {caught.value}" and "secreto" not in f"{logs} {caught.value!r}"
    assert caught.value.__cause__ is None and caught.value.__context__ is None


async def test_closing_twice_and_going_on(provider_server: ProviderServer, service: EmbeddingService) -> None:
    await service.generate_embedding("uno")
    await service.close()
    await service.close()
    await service.generate_embedding("dos")
    assert provider_server.calls == 2


def test_one_service_for_several_event_loops(provider_server: ProviderServer) -> None:
    embedder = OpenAIEmbedder(api_key="k", model="modelo-x", base_url=provider_server.url)
    service = EmbeddingService(embedder, concurrency=1)

    async def once() -> None:
        async with service:
            await asyncio.gather(*(service.embed_matrix(SMALL[:40]) for _ in range(3)))

    asyncio.run(once())
    asyncio.run(once())
    assert provider_server.calls == 12
    assert provider_server.most_in_flight == 1


async def test_a_known_model_fills_requests_up_to_openai_s_limits() -> None:
    with ProviderServer(dims=1536) as server:
        embedder = OpenAIEmbedder(api_key="k", base_url=server.url)
        async with EmbeddingService(embedder) as service:
            await service.embed_matrix(["x"] * 2049)
            heavy = "vacaciones " * 9000
            await service.embed_matrix([heavy] * 37)
    sizes = sorted(len(request["input"]) for request in server.requests)
    assert sizes == [1, 1, 36, 2048]

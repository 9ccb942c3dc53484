"""`/metrics` for Prometheus: the queue and its workers. No company is named: the page asks for no key."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from ateneo.api.tenant import OpenContainer
from ateneo.db.dead_letters import figures
from ateneo.i18n import both

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    operation_id="metrics",
    summary=both("Métricas para Prometheus", "Metrics for Prometheus"),
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
async def metrics(container: OpenContainer) -> Response:
    queue = await figures(container.db)
    registry = CollectorRegistry()
    rows = Gauge("ateneo_queue_chunks", "Chunks in the embedding queue", ["state"], registry=registry)
    waiting = queue.pending - queue.leased - queue.later - queue.over_budget
    counts = {"ready": waiting, "leased": queue.leased, "later": queue.later, "over_budget": queue.over_budget}
    for state, count in (counts | {"dead": queue.dead, "dropped": queue.dropped}).items():
        rows.labels(state).set(count)
    Gauge("ateneo_queue_oldest_seconds", "Age of the oldest pending chunk", registry=registry).set(queue.oldest_s)
    Gauge("ateneo_embedding_rate", "Chunks a second, all workers", registry=registry).set(queue.rate)
    by_state = Gauge("ateneo_workers", "Workers seen within 30 seconds", ["state"], registry=registry)
    for state, count in {"idle": queue.idle, "working": queue.working, "paused": queue.paused}.items():
        by_state.labels(state).set(count)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

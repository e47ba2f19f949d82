"""The gate before an application of a framework, over a client that speaks HTTP to it."""

import asyncio

import pytest

from rampmeter import Outcomes, Policy
from rampmeter.integrations.asyncio import GateMiddleware, batched

httpx = pytest.importorskip("httpx")
applications = pytest.importorskip("starlette.applications")
responses = pytest.importorskip("starlette.responses")
routing = pytest.importorskip("starlette.routing")

pytestmark = pytest.mark.timeout(60)

POLICY = Policy.from_toml("[[class]]\nname = 'chat'\nttft_target_s = 5.0\n")


@batched(batch_size_max=4, latency_target_s=0.5)
async def shout(texts):
    await asyncio.sleep(0.005)
    return [text.upper() for text in texts]


async def one(request):
    return responses.PlainTextResponse(await shout((await request.body()).decode()))


async def stream(_request):
    async def chunks():
        for _ in range(3):
            await asyncio.sleep(0.001)
            yield "x"

    return responses.StreamingResponse(chunks())


def test_posts_and_streams():
    async def main():
        app = applications.Starlette(
            routes=[routing.Route("/one", one, methods=["POST"]), routing.Route("/stream", stream)]
        )
        books = Outcomes(POLICY)
        server = GateMiddleware(app, POLICY, servers=4, outcomes=books)
        transport = httpx.ASGITransport(app=server)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            first = [await client.post("/one", content=b"a") for _ in range(20)]
            assert {answer.text for answer in first} == {"A"}
            many = await asyncio.gather(
                *(client.post("/one", content=b"b") for _ in range(30)),
                *(client.get("/stream") for _ in range(10)),
            )
        assert {answer.text for answer in many} == {"B", "xxx"}
        assert {answer.status_code for answer in many} == {200}
        stats = server.gate.stats()
        assert (stats.ended, stats.running, stats.waiting) == (60, 0, 0)
        assert stats.held > 0
        counts = books.counts(class_index=0)
        assert (counts.completed, counts.output_tokens) == (60, 50 + 30)

    asyncio.run(main())

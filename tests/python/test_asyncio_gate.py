"""The gate before an ASGI application: who is let in, who waits, who is turned away."""

import asyncio
import random

import pytest

from rampmeter import Outcomes, Policy
from rampmeter.integrations.asyncio import GateMiddleware

pytestmark = pytest.mark.timeout(60)

POLICY = Policy.from_toml(
    """
[limits]
accounts_max = 4
[[class]]
name = "chat"
ttft_target_s = 5.0
[[class]]
name = "background"
ttft_target_s = 60.0
[[account]]
name = "research"
"""
)


class Client:
    """One request: what it sends, what it hears, and when it hangs up."""

    def __init__(self, server, **headers):
        self.server, self.heard, self.gone = server, [], asyncio.Event()
        self.sent = False
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.scope = {
            "type": "http",
            "headers": [(name.encode(), value.encode()) for name, value in names.items()],
        }
        self.task = asyncio.create_task(server(self.scope, self.receive, self.send))

    async def receive(self):
        if not self.sent:
            self.sent = True
            return {"type": "http.request", "body": b"question", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.heard.append(message)

    @property
    def status(self):
        return self.heard[0]["status"]

    @property
    def headers(self):
        return dict(self.heard[0]["headers"])

    async def answered(self):
        await self.task
        return self.status


class Application:
    """Answers in chunks, each when it is told to."""

    def __init__(self):
        self.steps, self.bodies, self.running = asyncio.Semaphore(0), [], 0
        self.after, self.status = None, 200

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await send({"type": "other"})
            return
        self.running += 1
        try:
            self.bodies.append((await receive())["body"])
            await self.steps.acquire()
            await send({"type": "http.response.start", "status": self.status, "headers": []})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            await self.steps.acquire()
            await send({"type": "http.response.body", "body": b"b"})
        finally:
            self.running -= 1
        if self.after:
            await self.after.wait()


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def teach(server):
    """Let it see how fast requests leave, which it needs to promise a start."""
    app, server.app = server.app, quick
    for _ in range(30):
        assert await Client(server).answered() == 200
    server.app = app


async def quick(_scope, _receive, send):
    await asyncio.sleep(0.001)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def test_held_until_the_last_byte_of_another():
    async def main():
        app = Application()
        books = Outcomes(POLICY)
        server = GateMiddleware(app, POLICY, servers=1, outcomes=books)
        await teach(server)
        first, second = Client(server), Client(server)
        await settle()
        assert app.running == 1
        app.steps.release()
        await settle()
        assert first.heard[-1]["body"] == b"a"
        assert server.gate.stats().running == 1
        assert server.gate.stats().waiting == 1  # the last byte is not out yet
        app.steps.release()
        await settle()
        assert server.gate.stats().waiting == 0
        app.steps.release()
        app.steps.release()
        assert await asyncio.gather(first.answered(), second.answered()) == [200, 200]
        assert app.bodies == [b"question"] * 2  # nothing was lost on the way
        counts = books.counts(class_index=0)
        assert (counts.completed, counts.output_tokens) == (32, 30 + 4)
        assert books.distribution("queue_wait", class_index=0).value_max > 0
        assert server.gate.stats().running == 0

    asyncio.run(main())


def test_work_after_the_answer_holds_no_place():
    async def main():
        app = Application()
        app.after = asyncio.Event()
        server = GateMiddleware(app, POLICY, servers=1)
        client = Client(server)
        app.steps.release()
        app.steps.release()
        await settle()
        assert client.heard[-1]["body"] == b"b"
        assert (server.gate.stats().running, client.task.done()) == (0, False)
        app.after.set()
        await client.task

    asyncio.run(main())


def test_turned_away_with_retry_after():
    async def main():
        books = Outcomes(POLICY)
        server = GateMiddleware(Application(), POLICY, servers=0, outcomes=books)
        client = Client(server, x_rampmeter_class="background", x_rampmeter_account="research")
        assert await client.answered() == 429
        assert int(client.headers[b"retry-after"]) >= 1
        assert b"no_servers" in client.heard[1]["body"]
        assert books.counts(class_index=1).refused == 1
        assert books.counts(account_index=0).refused == 1
        busy = GateMiddleware(Application(), POLICY, servers=0, status=503)
        assert await Client(busy).answered() == 503

    asyncio.run(main())


def test_names_by_function():
    async def main():
        books = Outcomes(POLICY)
        server = GateMiddleware(
            quick,
            POLICY,
            servers=1,
            class_of=lambda scope: scope["headers"][0][1].decode(),
            account_of=lambda _: None,
            work_of=lambda _: 3,
            outcomes=books,
        )
        assert await Client(server, any="background").answered() == 200
        assert await Client(server, any="nobody-knows").answered() == 200
        assert (books.counts(class_index=1).offered, books.counts(class_index=0).offered) == (1, 1)
        assert books.counts(account_index=1).offered == 2  # what they share has the next place

    asyncio.run(main())


def test_client_that_hangs_up_while_it_waits():
    async def main():
        app, books = Application(), Outcomes(POLICY)
        server = GateMiddleware(app, POLICY, servers=1, outcomes=books)
        await teach(server)
        first, second = Client(server), Client(server)
        await settle()
        assert server.gate.stats().waiting == 1
        second.gone.set()
        await second.task
        assert second.heard == []
        assert (server.gate.stats().waiting, books.counts(class_index=0).cancelled) == (0, 1)
        first.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first.task
        assert server.gate.stats().running == 0
        assert books.counts(class_index=0).cancelled == 2

    asyncio.run(main())


def test_client_that_hangs_up_while_it_is_served():
    async def main():
        books = Outcomes(POLICY)

        async def listens(_scope, receive, _send):
            while (await receive())["type"] != "http.disconnect":
                pass

        server = GateMiddleware(listens, POLICY, servers=1, outcomes=books)
        client = Client(server)
        await settle()
        client.gone.set()
        await client.task
        counts = books.counts(class_index=0)
        assert (counts.cancelled, counts.failed, server.gate.stats().running) == (1, 0, 0)

    asyncio.run(main())


@pytest.mark.parametrize("held", [False, True])
def test_servers_that_cancel_the_request(held):
    async def main():
        server = GateMiddleware(Application(), POLICY, servers=1)
        await teach(server)
        clients = [Client(server), Client(server)]
        await settle()
        clients[held].task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await clients[held].task
        await settle()
        stats = server.gate.stats()
        assert (stats.running, stats.waiting) == (1, 0)
        clients[not held].task.cancel()

    asyncio.run(main())


def test_applications_that_fail():
    async def main():
        books = Outcomes(POLICY)

        async def broken(_scope, _receive, _send):
            raise LookupError("broken")

        server = GateMiddleware(broken, POLICY, servers=1, outcomes=books)
        with pytest.raises(LookupError):
            await Client(server).task
        app = server.app = Application()
        app.status = 500
        app.steps.release()
        app.steps.release()
        assert await Client(server).answered() == 500
        assert (books.counts(class_index=0).failed, server.gate.stats().running) == (2, 0)

    asyncio.run(main())


def test_waits_no_longer_than_the_gate_says():
    """The one before it never ends: the one that waits is answered when its time is over."""
    brief = Policy.from_toml("[[class]]\nname = 'chat'\nttft_target_s = 0.1\n")

    async def main():
        server = GateMiddleware(Application(), brief, servers=1)
        await teach(server)
        first, second = Client(server), Client(server)
        assert await asyncio.wait_for(second.answered(), 10) == 429
        assert b"expired" in second.heard[1]["body"]
        assert not first.task.done()
        first.task.cancel()

    asyncio.run(main())


def test_closing_and_new_places():
    async def main():
        app = Application()
        server = GateMiddleware(app, POLICY, servers=1)
        await teach(server)
        clients = [Client(server) for _ in range(3)]
        await settle()
        server.set_servers(2)
        await settle()
        assert app.running == 2
        server.close()
        assert await clients[2].answered() == 503
        assert await Client(server).answered() == 503
        for _ in range(4):
            app.steps.release()
        assert await asyncio.gather(*(client.answered() for client in clients[:2])) == [200, 200]

    asyncio.run(main())


def test_other_connections_pass():
    async def main():
        heard = []

        async def send(message):
            heard.append(message)

        server = GateMiddleware(Application(), POLICY, servers=0)
        await server({"type": "lifespan"}, None, send)
        assert heard == [{"type": "other"}]

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(5))
def test_whatever_clients_do_the_books_balance(seed):
    """Clients that hang up, servers that cancel, applications that fail: no place is lost."""
    draw = random.Random(seed)

    async def main():
        async def app(_scope, receive, send):
            await receive()
            await asyncio.sleep(draw.random() * 0.01)
            if draw.random() < 0.1:
                raise LookupError
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            await asyncio.sleep(draw.random() * 0.01)
            await send({"type": "http.response.body", "body": b"b"})

        books = Outcomes(POLICY)
        server = GateMiddleware(app, POLICY, servers=3, outcomes=books)
        await teach(server)
        clients = []
        for _ in range(80):
            headers = {"x_rampmeter_class": draw.choice(["chat", "background"])}
            clients.append(Client(server, **headers))
            await asyncio.sleep(draw.random() * 0.003)
            if draw.random() < 0.2:
                draw.choice(clients).gone.set()
            if draw.random() < 0.1:
                draw.choice(clients).task.cancel()
        await asyncio.gather(*(client.task for client in clients), return_exceptions=True)
        stats = server.gate.stats()
        assert (stats.running, stats.waiting) == (0, 0)
        assert stats.held > 0
        # Who was cancelled before the first step never came in.
        seen = sum(books.counts(class_index=index).offered for index in (0, 1))
        assert 30 + 60 < seen <= 30 + 80
        assert not server._held
        assert not server._running

    asyncio.run(main())

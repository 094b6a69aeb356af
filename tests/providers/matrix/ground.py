"""The vendors' side: the sandbox in this process, on free ports, told what to do wrong."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from notifyq.sandbox.app import PORTS, create_app, start
from notifyq.sandbox.record import Record

HOST = "127.0.0.1"
ROWS_MAX = 10_000  # more than a run accepts at any vendor
# What is told later by callback is no part of the matrix, and has nobody to listen to it.
CALLBACK_DELAY_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Ground:
    """A running sandbox."""

    http_port: int
    own_ports: dict[str, int]  # of the vendors that do not speak HTTP/1.1
    control: httpx.AsyncClient
    record: Record

    def port_of(self, vendor: str) -> int:
        """Return where a vendor listens."""
        return self.own_ports.get(vendor, self.http_port)

    async def script(self, vendor: str, text: str, fault: Mapping[str, object]) -> None:
        """Let the next message with `text` in its body meet a fault, once."""
        told = {"vendor": vendor, "match": {"body_contains": text}, **fault}
        answer = await self.control.post("/sandbox/faults", json=told)
        if answer.status_code != 201:
            raise ValueError(f"the sandbox does not take {told}: {answer.text}")

    def accepted(self, vendor: str, text: str) -> list[str | None]:
        """Return the references of all messages with `text` that the vendor has accepted."""
        found, following = self.record.page({"vendor": vendor}, start=0, limit=ROWS_MAX)
        if following is not None:
            raise ValueError(f"{vendor} has accepted more than {ROWS_MAX} messages")
        return [entry.reference for entry in found if text in entry.body]


@asynccontextmanager
async def open_ground() -> AsyncIterator[Ground]:
    """Run a sandbox until the end."""
    record = Record()
    app = create_app(record, callback_delay_s=CALLBACK_DELAY_S, listen=(HOST, (0, 0)))
    runner = await start(app, HOST, 0)
    port = runner.addresses[0][1]
    try:
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", trust_env=False) as control:
            yield Ground(port, app[PORTS], control, record)
    finally:
        await runner.cleanup()

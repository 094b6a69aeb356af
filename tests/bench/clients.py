"""CLIENTS: what each vendor's client costs, beside the same requests without it.

A client is called as a worker's slot calls it, 16 sends at once, to a receiver that answers at
once. The baselines make the very request that the receiver had of the client, as seldom connecting:
over HTTP/1.1 a session of aiohttp, on whose connections the clients are built, and the bytes alone
on a connection of the loop; over HTTP/2 h2 alone; by SMTP the lines alone. All run on uvloop, as
the worker does, in plain text. Each is a process; the loads take turns on the first core, the
receiver has the second. CPU time is the load's own, by its own clock: where a baseline outruns the
receiver only the CPU ratio says what the client adds.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.bench.meter import Meter
from tests.bench.parts import Part, part
from tests.bench.report import Sample

FIGURE = "CLIENTS"
CLIENT = "client"
ROUNDS = 2  # client, baselines, client, baselines, in each run
WARM_SHARE = 0.2  # of a stretch, before it
_PARTS = "tests.bench.clients_parts"


@dataclass(frozen=True, slots=True)
class Transport:
    """How a vendor is spoken to: its receiver and its baselines, modules of `clients_parts`."""

    receiver: str
    bares: Mapping[str, str]  # by what they are called


_HTTP1 = Transport("http1", {"aiohttp session": "bare_aiohttp", "bytes on uvloop": "bare_http1"})
_HTTP2 = Transport("http2", {"h2 on uvloop": "bare_http2"})
_SMTP = Transport("smtp", {"lines on uvloop": "bare_smtp"})
VENDORS: Mapping[str, Transport] = {
    **dict.fromkeys(("twilio", "sinch", "ses", "sendgrid", "fcm"), _HTTP1),
    "apns": _HTTP2,
    "smtp": _SMTP,
}
NOTES = (
    "ses: the client signs each request, its baselines repeat one signature.",
    "sinch, fcm, apns: one token, asked for or made in the warm-up, serves the run.",
    "smtp: the client writes each mail (text and HTML) and opens a new connection after 100.",
    "busy: cores in use; below 0.9 a load waited, and its rate is not what its core could do.",
)


def run(*, stretch_s: float) -> list[Sample]:
    """Measure every vendor once. stretch_s: of each load at a time, warm-up apart."""
    return [sample for vendor in VENDORS for sample in _vendor(vendor, stretch_s)]


def rows(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Return a row for each client and baseline: medians with spread, and the medians of ratios.

    A ratio is taken of two stretches of one round. It is the client's part of the baseline's
    speed: 0.5 is half the rate, or twice the CPU.
    """
    found = []
    for vendor, transport in VENDORS.items():
        client = _of(samples, vendor, CLIENT)
        shown: dict[str, Any] = {"client": vendor, **_columns(client, "")}
        for name in transport.bares:
            bare = _of(samples, vendor, name)
            others = [sample.cores["others"] for sample in (*client, *bare)]
            found.append(
                {
                    **shown,
                    "beside": name,
                    **_columns(bare, "its "),
                    "rate ratio": _ratio(_rates(client), _rates(bare)),
                    "CPU ratio": _ratio(_us(bare), _us(client)),
                    "others busy": f"{median(others):.2f}",
                }
            )
            shown = dict.fromkeys(shown)  # said once
    return found


def _vendor(vendor: str, stretch_s: float) -> list[Sample]:
    transport = VENDORS[vendor]
    with ExitStack() as stack:
        receiver = stack.enter_context(part(f"{_PARTS}.{transport.receiver}", vendor))
        port = receiver.ask("port")
        client = stack.enter_context(part(f"{_PARTS}.sender", vendor, port))
        bares = {
            name: stack.enter_context(part(f"{_PARTS}.{module}", port))
            for name, module in transport.bares.items()
        }
        loads = {CLIENT: client, **bares}
        for load in loads.values():
            load.hear()  # ready
            load.pin(0)
        receiver.pin(1)
        _stretch(vendor, CLIENT, client, receiver, stretch_s * WARM_SHARE)
        request = receiver.ask("request")
        for bare in bares.values():
            bare.ask(f"take {json.dumps(request)}")
        samples = []
        for _ in range(ROUNDS):
            for name, load in loads.items():
                samples.append(_stretch(vendor, name, load, receiver, stretch_s))
                if load is not client and sorted(receiver.ask("request")) != sorted(request):
                    raise RuntimeError(f"{vendor}: {name} makes another request than the client")
    return samples


def _stretch(vendor: str, name: str, load: Part, receiver: Part, stretch_s: float) -> Sample:
    load.tell(f"go {stretch_s} {stretch_s * WARM_SHARE}")
    load.hear()  # warm
    meter = Meter(load=load.pid, receiver=receiver.pid)
    own = load.hear()
    spent = meter.spent()
    count = own["count"]
    us_each = {**spent.us_each(count), "load": own["cpu_s"] / count * 1e6}
    rate = count / own["wall_s"]
    return Sample(FIGURE, _what(vendor, name), rate, "/s", spent.cores(), us_each, own)


def _what(vendor: str, name: str) -> str:
    return f"{vendor}: {name}"


def _of(samples: Sequence[Sample], vendor: str, name: str) -> list[Sample]:
    return [sample for sample in samples if sample.what == _what(vendor, name)]


def _columns(stretches: Sequence[Sample], whose: str) -> dict[str, str]:
    return {
        f"{whose}requests/s": _shown(_rates(stretches)),
        f"{whose}CPU us": _shown(_us(stretches)),
        f"{whose}busy": f"{median(each.cores['load'] for each in stretches):.2f}",
    }


def _rates(stretches: Sequence[Sample]) -> list[float]:
    return [each.value for each in stretches]


def _us(stretches: Sequence[Sample]) -> list[float]:
    return [each.us_each["load"] for each in stretches]


def _shown(values: Sequence[float]) -> str:
    """Return the median, and the least and the most beside it."""
    return f"{median(values):,.0f} ({min(values):,.0f} … {max(values):,.0f})"


def _ratio(above: Sequence[float], below: Sequence[float]) -> str:
    return f"{median(a / b for a, b in zip(above, below, strict=True)):.2f}"

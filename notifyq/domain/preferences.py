from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    on: bool
    by: str


def wanted(category, channel, *, mandatory, own, of_tenant, default_on):
    return Verdict(default_on, "x")

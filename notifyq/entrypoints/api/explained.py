"""An explanation as it is shown: models that OpenAPI shows, and how rows become one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from notifyq.domain.consent import brand_of
from notifyq.domain.explaining import Answer, Step
from notifyq.domain.ids import instant_of, public_id
from notifyq.services.explain import Explained, Question
from notifyq.store.explaining import Latest


class RuleAnswer(BaseModel):
    """What one rule says: which row it read, and what was there."""

    rule: str
    verdict: Literal["pass", "wait", "suppress"]
    reason: str | None
    until: datetime | None
    row: str
    read: str


class AddressAnswer(BaseModel):
    """What would become of a message to one address, and the first rule that objects to it."""

    channel: str
    address: str = Field(description="A hint, no address: `…23`, `…@example.org`, `ios org.app`.")
    verdict: Literal["send", "wait", "suppress"]
    rule: str | None
    reason: str | None
    until: datetime | None
    rules: list[RuleAnswer]


class LatestAnswer(BaseModel):
    """A delivery that was accepted by then, as it stands now."""

    id: str
    channel: str
    state: str
    reason: str | None
    accepted_at: datetime
    began_at: datetime | None = Field(description="When its last attempt began.")
    expires_at: datetime
    changed_at: datetime
    template: str | None
    template_version: int | None


class ExplainAnswer(BaseModel):
    """What would become of a message, by each address that it would go to."""

    recipient: str
    kept: bool = Field(description="Under this id; else it was taken for an address.")
    category: str
    brand: str
    test: bool
    at: datetime
    addresses: list[AddressAnswer]
    latest: list[LatestAnswer] | None = Field(
        description="The newest 10 at most; null: it took too long to find them."
    )


def explained_answer(
    question: Question, explained: Explained, latest: Sequence[Latest] | None
) -> dict[str, Any]:
    """Return an explanation as ExplainAnswer has it."""
    book = question.book
    return {
        "recipient": question.recipient,
        "kept": explained.is_kept,
        "category": question.category.name,
        "brand": brand_of(question.scope),
        "test": book.test,
        "at": question.at,
        "addresses": [_address(one) for one in explained.answers],
        "latest": None if latest is None else [_latest(book.cell, one) for one in latest],
    }


def _address(answer: Answer) -> dict[str, Any]:
    decisive = answer.decisive
    return {
        "channel": answer.known.channel,
        "address": answer.known.hint,
        "verdict": decisive.verdict if decisive else "send",
        "rule": decisive.rule if decisive else None,
        "reason": decisive.reason if decisive else None,
        "until": decisive.until if decisive else None,
        "rules": [_rule(step) for step in answer.steps],
    }


def _rule(step: Step) -> dict[str, Any]:
    names = ("rule", "verdict", "reason", "until", "row", "read")
    return {name: getattr(step, name) for name in names}


def _latest(cell: int, delivery: Latest) -> dict[str, Any]:
    return {
        "id": public_id("dlv", cell, delivery.delivery_id),
        "channel": delivery.channel,
        "state": delivery.state,
        "reason": delivery.reason,
        "accepted_at": instant_of(delivery.delivery_id),
        "began_at": delivery.began_at,
        "expires_at": delivery.expires_at,
        "changed_at": delivery.changed_at,
        "template": delivery.template,
        "template_version": delivery.template_version,
    }

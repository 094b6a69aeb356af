"""The tables as SQLAlchemy sees them: for cold queries, and for the test that holds them against
the migrated database. Migrations are the truth; this file follows them.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, ENUM
from sqlalchemy.types import TypeEngine

from notifyq.domain.model import Channel, MessageClass
from notifyq.domain.states import AttemptOutcome, State

metadata = MetaData(schema="notifyq")

CHANNEL = ENUM(*Channel, name="channel", schema="notifyq", create_type=False)
MESSAGE_CLASS = ENUM(*MessageClass, name="message_class", schema="notifyq", create_type=False)
STATE = ENUM(*State, name="delivery_state", schema="notifyq", create_type=False)
OUTCOME = ENUM(*AttemptOutcome, name="outcome", schema="notifyq", create_type=False)
_TIME = DateTime(timezone=True)
_Kind = TypeEngine[Any] | type[TypeEngine[Any]]


def _key(name: str, kind: _Kind) -> Column[Any]:
    return Column(name, kind, primary_key=True)


def _table(name: str, *columns: Column[Any]) -> Table:
    """Return a table whose key begins with the cell, as nearly all do."""
    return Table(name, metadata, _key("cell", SmallInteger), *columns)


def _must(name: str, kind: _Kind) -> Column[Any]:
    return Column(name, kind, nullable=False)


def _may(name: str, kind: _Kind) -> Column[Any]:
    return Column(name, kind)


tenant = _table(
    "tenant",
    _key("id", Integer),
    _must("name", Text),
    _must("brand", Text),
    _must("created_at", _TIME),
    _must("created_by", Text),
)
api_key = _table(
    "api_key",
    _key("key_hash", LargeBinary),
    _must("tenant_id", Integer),
    _must("label", Text),
    _must("test", Boolean),
    _must("scopes", ARRAY(Text)),
    _must("created_at", _TIME),
    _must("created_by", Text),
    _may("revoked_at", _TIME),
    _may("revoked_by", Text),
)
idempotency_key = _table(
    "idempotency_key",
    _key("tenant_id", Integer),
    _key("operation", Text),
    _key("key_hash", LargeBinary),
    _must("fingerprint", LargeBinary),
    _must("recovery_point", Text),
    _may("claim_token", Uuid),
    _must("notification_id", Uuid),
)
stored_response = _table(
    "stored_response",
    _key("notification_id", Uuid),
    _must("status", SmallInteger),
    _must("body", LargeBinary),
)
notification = _table(
    "notification",
    _must("tenant_id", Integer),
    _key("id", Uuid),
    _must("test", Boolean),
    _must("class", MESSAGE_CLASS),
    _must("category", Text),
    _may("recipient", Text),
    _may("metadata", Text),
    _may("not_before", _TIME),
    _must("expires_at", _TIME),
)
delivery = _table(
    "delivery",
    _must("criticality", SmallInteger),
    _must("tenant_id", Integer),
    _key("id", Uuid),
    _must("channel", CHANNEL),
    _must("state", STATE),
    _must("expires_at", _TIME),
    _may("not_before", _TIME),
    _must("changed_at", _TIME),
    _must("brand", Text),
    _must("program", Text),
    _must("address_key", LargeBinary),
    _may("reason", Text),
)
content = _table(
    "content",
    _key("delivery_id", Uuid),
    _must("address", Text),
    _must("body", Text),
)
job = Table(  # its leaves have the primary key (cell, delivery_id)
    "job",
    metadata,
    _must("cell", SmallInteger),
    _must("criticality", SmallInteger),
    _must("lane", Integer),
    _must("due", _TIME),
    _must("delivery_id", Uuid),
    _must("channel", CHANNEL),
    _must("attempts", SmallInteger),
    _must("tries", SmallInteger),
)
timer = _table(
    "timer",
    _key("delivery_id", Uuid),
    _key("kind", Text),
    _must("due", _TIME),
)
attempt = _table(
    "attempt",
    _key("number", SmallInteger),
    _must("lane", Integer),
    _key("delivery_id", Uuid),
    _must("epoch", BigInteger),
    _must("began_at", _TIME),
    _must("send_by", _TIME),
    _must("consent_revision", BigInteger),
    _must("outcome", OUTCOME),
    _must("worker", Uuid),
    _may("ended_at", _TIME),
    _may("late_at", _TIME),
    _may("provider_id", Text),
    _may("code", Text),
)
dead_letter = _table(
    "dead_letter",
    _key("delivery_id", Uuid),
    _must("cause", Text),
    _may("detail", Text),
    _must("at", _TIME),
    _must("dedupe_until", _TIME),
)
receipt = _table(
    "receipt",
    _key("delivery_id", Uuid),
    _key("number", SmallInteger),
    _must("rank", SmallInteger),
    _key("provider", Text),
    _key("provider_id", Text),
    _key("status", Text),
    _may("code", Text),
    _must("received_at", _TIME),
)
outbox = _table(
    "outbox",
    _must("tenant_id", Integer),
    _key("id", Uuid),
    _must("about", Uuid),
    _must("kind", Text),
)
fence = _table(
    "fence",
    _must("epoch", BigInteger),
    _must("region", Text),
    _must("phase", Text),
    _must("sync_policy", Text),
    _must("changed_at", _TIME),
    _must("changed_by", Text),
    _must("reason", Text),
)
worker = _table(
    "worker",
    _key("id", Uuid),
    _key("channel", CHANNEL),
    _must("region", Text),
    _must("epoch", BigInteger),
    _must("started_at", _TIME),
    _must("seen_at", _TIME),
)
lane = _table(
    "lane",
    _key("id", Integer),
    _must("channel", CHANNEL),
    _must("provider", Text),
    _must("created_at", _TIME),
)
consent = _table(
    "consent",
    _key("brand", Text),
    _key("channel", CHANNEL),
    _key("address_key", LargeBinary),
    _must("blocked", Boolean),
    _must("revision", BigInteger),
    _must("changed_at", _TIME),
)
consent_event = _table(
    "consent_event",
    _key("id", Uuid),
    _must("brand", Text),
    _must("channel", CHANNEL),
    _must("address_key", LargeBinary),
    _must("revision", BigInteger),
    _must("kind", Text),
    _must("at", _TIME),
    _must("actor", Text),
    _must("reason", Text),
)
address_secret = Table(  # of the database, not of a cell
    "address_secret",
    metadata,
    _key("version", SmallInteger),
    _must("inner_pad", LargeBinary),
    _must("outer_pad", LargeBinary),
    _must("created_at", _TIME),
)

"""The tables as SQLAlchemy sees them: for cold queries, and for the test that holds them against
the migrated database. Migrations are the truth; this file follows them.

A column is written `name kind`; `*` before it: part of the key; `?` after it: may be null.
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

_KINDS: dict[str, TypeEngine[Any] | type[TypeEngine[Any]]] = {
    "bigint": BigInteger,
    "boolean": Boolean,
    "bytea": LargeBinary,
    "channel": ENUM(*Channel, name="channel", schema="notifyq", create_type=False),
    "class": ENUM(*MessageClass, name="message_class", schema="notifyq", create_type=False),
    "integer": Integer,
    "outcome": ENUM(*AttemptOutcome, name="outcome", schema="notifyq", create_type=False),
    "smallint": SmallInteger,
    "state": ENUM(*State, name="delivery_state", schema="notifyq", create_type=False),
    "text": Text,
    "text[]": ARRAY(Text),
    "time": DateTime(timezone=True),
    "time[]": ARRAY(DateTime(timezone=True)),
    "uuid": Uuid,
}


def _table(name: str, columns: str) -> Table:
    """Return a table whose key begins with the cell, as nearly all do."""
    return Table(name, metadata, *_columns(f"*cell smallint, {columns}"))


def _columns(text: str) -> list[Column[Any]]:
    return [_column(*one.split()) for one in text.split(",")]


def _column(name: str, kind: str) -> Column[Any]:
    key, may_be_null = name.startswith("*"), kind.endswith("?")
    named = _KINDS[kind.removesuffix("?")]
    return Column(name.removeprefix("*"), named, primary_key=key, nullable=may_be_null)


# ----------------------------------------------------------------------------------- who

tenant = _table(
    "tenant",
    "*id integer, name text, brand text, created_at time, created_by text",
)
api_key = _table(
    "api_key",
    "*key_hash bytea, tenant_id integer, label text, test boolean, scopes text[], "
    "created_at time, created_by text, revoked_at time?, revoked_by text?",
)

# ------------------------------------------------------------------------------ accepted

idempotency_key = _table(
    "idempotency_key",
    "*tenant_id integer, *operation text, *key_hash bytea, fingerprint bytea, "
    "recovery_point text, claim_token uuid?, notification_id uuid",
)
unfinished_key = _table(
    "unfinished_key",
    "*notification_id uuid, tenant_id integer, operation text, key_hash bytea, "
    "claimed_until time, tries integer, trouble text?, ask bytea",
)
dedupe_mark = _table(
    "dedupe_mark",
    "*tenant_id integer, *mark bytea, notification_id uuid, until time",
)
stored_response = _table(
    "stored_response",
    "*notification_id uuid, status smallint, body bytea",
)
notification = _table(
    "notification",
    "tenant_id integer, *id uuid, test boolean, class class, category text, recipient text?, "
    "metadata text?, not_before time?, expires_at time",
)
delivery = _table(
    "delivery",
    "criticality smallint, tenant_id integer, *id uuid, channel channel, state state, "
    "expires_at time, not_before time?, changed_at time, brand text, program text, "
    "address_key bytea, reason text?, resend_after_s integer?, cancel_requested_at time?, "
    "registered_at time?, category text?, recipient text?, hours text?, time_zone text?, "
    "cap smallint?, sender text?, is_marketing boolean, is_mandatory boolean, "
    "is_separate boolean, is_exempt boolean, template text?, template_version integer?, "
    "locale text?, is_by_id boolean",
)
content = _table(
    "content",
    "*delivery_id uuid, address text, body text, more text?",
)

# ----------------------------------------------------------------------------------- due

job = Table(  # its leaves have the primary key (cell, delivery_id)
    "job",
    metadata,
    *_columns(
        "cell smallint, criticality smallint, lane integer, due time, delivery_id uuid, "
        "channel channel, attempts smallint, tries smallint"
    ),
)
standby = _table(
    "standby",
    "*delivery_id uuid, lane integer",
)
timer = _table(
    "timer",
    "*delivery_id uuid, *kind text, due time, lane integer?, step smallint",
)

# --------------------------------------------------------------------------------- tried

attempt = _table(
    "attempt",
    "*number smallint, lane integer, *delivery_id uuid, epoch bigint, began_at time, "
    "send_by time, consent_revision bigint, outcome outcome, worker uuid, ended_at time?, "
    "late_at time?, provider_id text?, code text?",
)
dead_letter = _table(
    "dead_letter",
    "*delivery_id uuid, cause text, detail text?, at time, dedupe_until time",
)
intervention = _table(
    "intervention",
    "*id uuid, delivery_id uuid, kind text, at time, actor text, reason text, evidence text?",
)
receipt = _table(
    "receipt",
    "*delivery_id uuid, *number smallint, rank smallint, *provider text, *provider_id text, "
    "*status text, code text?, received_at time",
)
inbound = _table(
    "inbound",
    "*provider text, *provider_id text, sender text, receiver text, body text, "
    "written_at time?, received_at time",
)
outbox = _table(
    "outbox",
    "tenant_id integer, *id uuid, about uuid, kind text",
)

# -------------------------------------------------------------------------- who may send

fence = _table(
    "fence",
    "epoch bigint, region text, phase text, sync_policy text, changed_at time, changed_by text, "
    "reason text",
)
worker = _table(
    "worker",
    "*id uuid, *channel channel, region text, epoch bigint, started_at time, seen_at time",
)
lane = _table(
    "lane",
    "*id integer, channel channel, provider text, created_at time",
)

# ------------------------------------------------------------------------------- consent

consent = _table(
    "consent",
    "*brand text, *channel channel, *address_key bytea, blocked boolean, revision bigint, "
    "changed_at time, dead_at time?, dead_code text?, alive_at time?, "
    "soft_bounces smallint, programs text[], held boolean, consented boolean, begun_at time[], "
    "soft_since time?",
)
consent_event = _table(
    "consent_event",
    "*id uuid, brand text, channel channel, address_key bytea, revision bigint, kind text, "
    "at time, actor text, reason text, happened_at time, source text, program text?, "
    "evidence text?, blocked boolean, programs text[]",
)
address_secret = Table(  # of the database, not of a cell
    "address_secret",
    metadata,
    *_columns("*version smallint, inner_pad bytea, outer_pad bytea, created_at time"),
)

# ----------------------------------------------------------------------------- templates

template = _table(
    "template",
    "*tenant_id integer, *test boolean, *name text, version integer",
)
template_version = _table(
    "template_version",
    "*tenant_id integer, *test boolean, *name text, *version integer, digest bytea, body text, "
    "created_at time, created_by text",
)

# ---------------------------------------------------------------------------- recipients

recipient = _table(
    "recipient",
    "*tenant_id integer, *test boolean, *id text, version integer, profile text, erased boolean, "
    "merged_into text?, changed_at time, erased_at time?",
)
recipient_version = _table(
    "recipient_version",
    "*tenant_id integer, *test boolean, *id text, *version integer, profile text, at time, "
    "actor text, erased boolean, merged_into text?",
)
recipient_address = _table(
    "recipient_address",
    "*tenant_id integer, *test boolean, *address_key bytea, *channel channel, *id text",
)

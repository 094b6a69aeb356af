"""The database about itself: sizes, open transactions, roles, and whether it is as the code is."""

from typing import Any, LiteralString

from sqlalchemy import Column
from sqlalchemy.dialects.postgresql import dialect

from notifyq.store.db import Conn
from notifyq.store.tables import metadata

_DIALECT = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy has no types here

_SIZES: LiteralString = """
SELECT coalesce(p.relname, c.relname) AS name, count(*) FILTER (WHERE c.relkind = 'r') AS leaves,
       pg_size_pretty(sum(pg_total_relation_size(c.oid))) AS size,
       sum(s.n_live_tup)::int8 AS rows_about, sum(s.n_dead_tup)::int8 AS dead_about
  FROM pg_class c
  LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
  LEFT JOIN pg_class p ON p.oid = i.inhparent
  LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
 WHERE c.relnamespace = 'notifyq'::regnamespace AND c.relkind = 'r'
 GROUP BY 1
 ORDER BY sum(pg_total_relation_size(c.oid)) DESC, 1
"""
_OLDEST: LiteralString = """
SELECT pid, usename AS role, application_name AS application, state,
       date_trunc('second', now() - xact_start)::text AS age, left(query, 80) AS statement
  FROM pg_stat_activity
 WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
 ORDER BY xact_start
 LIMIT 10
"""
_COLUMNS: LiteralString = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relnamespace = 'notifyq'::regnamespace AND c.relkind IN ('r', 'p')
   AND NOT c.relispartition
"""
_PRIMARY_KEYS: LiteralString = """
SELECT c.relname, array_agg(a.attname::text ORDER BY array_position(k.conkey, a.attnum))
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (k.conkey)
 WHERE k.contype = 'p' AND c.relnamespace = 'notifyq'::regnamespace AND NOT c.relispartition
 GROUP BY c.relname
"""
# notifyq_app runs API and workers (the janitor makes and drops leaves, so it connects as the
# schema's owner, as `db migrate` does); it can neither change evidence nor read the secret of
# address keys.
# notifyq_audit reads what is no content: numbers are looked up by notifyq.address_key(text).
_ROLES: LiteralString = """
DO $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('notifyq roles'));
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'notifyq_app') THEN
        CREATE ROLE notifyq_app NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'notifyq_audit') THEN
        CREATE ROLE notifyq_audit NOLOGIN;
    END IF;
END $$;
GRANT USAGE ON SCHEMA notifyq TO notifyq_app, notifyq_audit;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA notifyq TO notifyq_app;
-- Leaves are made later, by the owner, and addressed by name.
ALTER DEFAULT PRIVILEGES IN SCHEMA notifyq
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO notifyq_app;
REVOKE ALL ON notifyq.address_secret FROM notifyq_app, notifyq_audit;
-- Evidence is added to. Whoever runs this owns it, and is stopped by the ledger's own trigger.
REVOKE UPDATE, DELETE, TRUNCATE ON notifyq.consent_event, notifyq.intervention FROM notifyq_app;
-- And what it adds up to is changed: an address without a row is one that has never objected.
REVOKE DELETE, TRUNCATE ON notifyq.consent FROM notifyq_app;
GRANT SELECT ON notifyq.tenant, notifyq.notification, notifyq.delivery, notifyq.job,
                notifyq.timer, notifyq.attempt, notifyq.dead_letter, notifyq.receipt,
                notifyq.outbox, notifyq.fence, notifyq.worker, notifyq.lane, notifyq.consent,
                notifyq.consent_event, notifyq.idempotency_key, notifyq.standby,
                notifyq.intervention, notifyq.dedupe_mark TO notifyq_audit;
-- A number becomes its key by these: neither role sees the secret behind them.
REVOKE EXECUTE ON FUNCTION notifyq.address_keys(text[]), notifyq.address_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notifyq.address_keys(text[]), notifyq.address_key(text)
    TO notifyq_app, notifyq_audit;
-- Who can make a token can opt people out. The MAC is called by the two others, as their owner.
REVOKE EXECUTE ON FUNCTION notifyq.unsubscribe_mac(smallint, bytea),
                           notifyq.unsubscribe_token(smallint, text, text, bytea),
                           notifyq.read_unsubscribe_token(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notifyq.unsubscribe_token(smallint, text, text, bytea),
                          notifyq.read_unsubscribe_token(text) TO notifyq_app;
-- What was asked for and what was answered is content; that it is there is not. What people wrote
-- to us about consent is evidence, and stands with its event.
GRANT SELECT (cell, delivery_id) ON notifyq.content TO notifyq_audit;
GRANT SELECT (cell, notification_id, status) ON notifyq.stored_response TO notifyq_audit;
GRANT SELECT (cell, notification_id, tenant_id, operation, key_hash, claimed_until, tries, trouble)
    ON notifyq.unfinished_key TO notifyq_audit;
"""


async def sizes(conn: Conn) -> list[dict[str, Any]]:
    """Return every table with its leaves, size and estimated rows, the largest first."""
    return await _rows(conn, _SIZES)


async def oldest_transactions(conn: Conn) -> list[dict[str, Any]]:
    """Return the ten oldest open transactions of this database and who holds them."""
    return await _rows(conn, _OLDEST)


async def make_roles(conn: Conn) -> None:
    """Create the roles and grant them their rights; run it again after a migration."""
    await conn.execute(_ROLES)


async def differences(conn: Conn) -> list[str]:
    """Return how the database differs from store/tables.py, one sentence each; empty if not."""
    found = {
        (table, column): (kind, required)
        for table, column, kind, required in await (await conn.execute(_COLUMNS)).fetchall()
    }
    keys: dict[str, list[str]] = dict(await (await conn.execute(_PRIMARY_KEYS)).fetchall())
    wanted = {
        (table.name, column.name): (_type(column), not column.nullable)
        for table in metadata.tables.values()
        for column in table.columns
    }
    wrong = [f"{t}.{c}: not in the code" for t, c in sorted(found.keys() - wanted.keys())]
    wrong += [f"{t}.{c}: not in the database" for t, c in sorted(wanted.keys() - found.keys())]
    wrong += [
        f"{t}.{c}: is {found[t, c]}, the code has {wanted[t, c]}"
        for t, c in sorted(wanted.keys() & found.keys())
        if found[t, c] != wanted[t, c]
    ]
    for table in metadata.tables.values():
        key = {column.name for column in table.primary_key}
        if key != set(keys.get(table.name, ())):
            wrong.append(f"{table.name}: primary key is {keys.get(table.name)}, not {sorted(key)}")
    return wrong


def _type(column: Column[Any]) -> str:
    """Return a column's type as format_type() writes it with notifyq in the search path."""
    return column.type.compile(dialect=_DIALECT).lower().removeprefix("notifyq.")


async def _rows(conn: Conn, statement: LiteralString) -> list[dict[str, Any]]:
    cursor = await conn.execute(statement)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]

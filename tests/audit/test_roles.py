"""The cluster's roles: what each may do to consent, by connecting as it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from notifyq.store import catalog, db, ledger
from tests.store import helpers as h

ROLES = ("notifyq_app", "notifyq_audit")
DENIED = psycopg.errors.InsufficientPrivilege


@pytest.fixture
def url(database_url: str) -> str:
    async def live() -> None:
        async with await db.connect(database_url) as conn:
            await catalog.make_roles(conn)
            await catalog.make_roles(conn)  # it may be run again
            await conn.commit()
            shop = await h.open_shop(conn, "acme")
            await h.begun(conn, shop, h.make_ask(shop))
            await h.opt_out(conn, shop)

    asyncio.run(live())
    return database_url


def as_role(url: str, role: str) -> Any:
    return psycopg.connect(url, autocommit=True, options=f"-c role={role} -c search_path=notifyq")


@pytest.fixture
def app(url: str) -> Iterator[Any]:
    with as_role(url, "notifyq_app") as conn:
        yield conn


@pytest.fixture
def audit(url: str) -> Iterator[Any]:
    with as_role(url, "notifyq_audit") as conn:
        yield conn


def test_the_audit_role_reads_consent_and_its_evidence(audit: Any) -> None:
    assert audit.execute("SELECT blocked, programs, held, consented FROM consent").fetchall()
    ((evidence, kind),) = audit.execute("SELECT evidence, kind FROM consent_event").fetchall()
    assert (evidence, kind) == (None, "opt_out")
    ((found,),) = audit.execute(
        "SELECT count(*) FROM consent WHERE address_key = address_key(%s)", [h.PHONE]
    ).fetchall()
    assert found == 1


@pytest.mark.parametrize(
    "table",
    ["address_secret", "inbound", "api_key", "recipient", "recipient_version"],
)
def test_the_audit_role_reads_no_secret_and_no_content(audit: Any, table: str) -> None:
    with pytest.raises(DENIED):
        audit.execute(f"SELECT * FROM {table}")


def test_the_audit_role_sees_that_content_is_there_and_not_what_it_says(audit: Any) -> None:
    assert audit.execute("SELECT cell, delivery_id FROM content").fetchall()
    for column in ("body", "address", "more"):
        with pytest.raises(DENIED):
            audit.execute(f"SELECT {column} FROM content")


def test_the_audit_role_writes_nothing(audit: Any, url: str) -> None:
    with psycopg.connect(url) as owner:
        tables = [
            row[0]
            for row in owner.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'notifyq'::regnamespace"
                " AND relkind IN ('r', 'p')"
            )
        ]
    assert len(tables) > 20
    for table in tables:
        rights = audit.execute(
            "SELECT bool_or(has_table_privilege(%s, r)) FROM unnest(ARRAY['INSERT', 'UPDATE',"
            " 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS r",
            [f"notifyq.{table}"],
        ).fetchone()
        assert rights == (False,), table
        with pytest.raises(DENIED):
            audit.execute(f"DELETE FROM {table}")
    with pytest.raises(DENIED):
        audit.execute("CREATE TABLE notifyq.mine ()")


# Each returns what the audit role would write by, beside whole tables.
OTHER_WAYS = {
    "columns": "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND"
    " relnamespace = 'notifyq'::regnamespace"
    " AND has_any_column_privilege('notifyq_audit', oid, 'INSERT, UPDATE, REFERENCES')",
    "sequences": "SELECT seqrelid::regclass::text FROM pg_sequence"
    " WHERE has_sequence_privilege('notifyq_audit', seqrelid, 'USAGE, UPDATE')",
    "schemas": "SELECT nspname FROM pg_namespace"
    " WHERE has_schema_privilege('notifyq_audit', oid, 'CREATE')",
    "other roles": "SELECT rolname FROM pg_roles WHERE rolname <> 'notifyq_audit'"
    " AND pg_has_role('notifyq_audit', oid, 'MEMBER')",
    "its own powers": "SELECT rolname FROM pg_roles WHERE rolname = 'notifyq_audit' AND (rolsuper"
    " OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls OR rolcanlogin)",
    "what it owns": "SELECT classid::regclass || ' ' || objid FROM pg_shdepend WHERE deptype = 'o'"
    " AND refobjid = 'notifyq_audit'::regrole",
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_the_audit_role_has_no_other_way_to_write(url: str, way: str) -> None:
    with psycopg.connect(url) as owner:
        assert owner.execute(OTHER_WAYS[way].encode()).fetchall() == []


def test_functions_that_act_as_their_owner_give_it_keys_and_no_more(url: str) -> None:
    with psycopg.connect(url) as owner:
        rows = owner.execute(
            "SELECT proname, provolatile::text FROM pg_proc WHERE prosecdef"
            " AND pronamespace = 'notifyq'::regnamespace"
            " AND has_function_privilege('notifyq_audit', oid, 'EXECUTE') ORDER BY 1"
        ).fetchall()
    # A stable function writes nothing: PostgreSQL refuses it.
    assert rows == [("address_key", "s"), ("address_keys", "s")]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE consent_event SET reason = 'other'",
        "DELETE FROM consent_event",
        "TRUNCATE consent_event",
        "DELETE FROM consent",
        "TRUNCATE consent",
        "ALTER TABLE consent_event DISABLE TRIGGER ALL",
        "DROP TABLE consent_event",
        "SELECT * FROM address_secret",
    ],
)
def test_no_role_changes_evidence_or_reads_the_secret(url: str, role: str, change: str) -> None:
    with as_role(url, role) as conn, pytest.raises(DENIED):
        conn.execute(change)


def test_a_right_to_delete_consent_that_was_given_before_is_taken_by_the_migration(
    url: str,
) -> None:
    """Roles outlive migrations, and not all of them are ours."""
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("GRANT DELETE, TRUNCATE ON notifyq.consent, notifyq.consent_event"
                      " TO notifyq_app, PUBLIC")  # fmt: skip
        run = (Path(__file__).parents[2] / "migrations/versions/0008_consent_again.sql").read_text()
        owner.execute(run[run.index("DO $$") :].encode())
        assert owner.execute(
            "SELECT count(*) FROM pg_class c, aclexplode(c.relacl) g WHERE g.privilege_type IN"
            " ('DELETE', 'TRUNCATE') AND g.grantee <> c.relowner AND c.oid IN"
            " ('notifyq.consent'::regclass, 'notifyq.consent_event'::regclass)"
        ).fetchone() == (0,)
    with as_role(url, "notifyq_app") as conn:
        assert conn.execute("UPDATE consent SET held = held").rowcount == 1
        with pytest.raises(DENIED):
            conn.execute("DELETE FROM consent")


def test_the_owner_is_stopped_by_the_ledger_itself(url: str) -> None:
    """A superuser's slip: the trigger is on for sessions that replicate, too."""
    for setting in ("origin", "replica"):
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute(f"SET session_replication_role = {setting}")
            for change in ("UPDATE {} SET reason = ''", "DELETE FROM {}", "TRUNCATE {}"):
                with pytest.raises(psycopg.errors.RestrictViolation, match="consent_event"):
                    owner.execute(change.format("notifyq.consent_event"))


def test_the_app_role_does_what_the_api_and_the_workers_do(app: Any, url: str) -> None:
    async def live() -> None:
        async with await db.connect(f"{url}&options=-c%20role%3Dnotifyq_app") as conn:
            assert await h.one(conn, "SELECT current_user::text") == "notifyq_app"
            shop = await h.open_shop(conn, "beta")
            await h.opt_out(conn, shop)
            assert await ledger.address_key(conn, h.PHONE)

    asyncio.run(live())
    assert app.execute("SELECT count(*) FROM consent_event").fetchone() == (2,)


FUNCTIONS = {
    "address_key('x')": ROLES,
    "address_keys(ARRAY['x'])": ROLES,
    "unsubscribe_token(0::int2, 'acme', 'news', '\\x00')": ("notifyq_app",),
    "read_unsubscribe_token('x')": ("notifyq_app",),
    "unsubscribe_mac(1::int2, '\\x00')": (),
}


@pytest.mark.parametrize("call", FUNCTIONS)
@pytest.mark.parametrize("role", [*ROLES, "public"])
def test_who_can_name_addresses_and_make_tokens(url: str, role: str, call: str) -> None:
    if role == "public":
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute(
                "DO $$ BEGIN CREATE ROLE notifyq_stranger; EXCEPTION WHEN duplicate_object THEN"
                " NULL; END $$; GRANT USAGE ON SCHEMA notifyq TO notifyq_stranger"
            )
        role = "notifyq_stranger"
    with as_role(url, role) as conn:
        if role in FUNCTIONS[call]:
            conn.execute(f"SELECT * FROM {call}")
            return
        with pytest.raises(DENIED):
            conn.execute(f"SELECT * FROM {call}")


def test_a_token_still_goes_there_and_back(app: Any) -> None:
    ((token,),) = app.execute(
        "SELECT unsubscribe_token(0::int2, 'acme', 'news', address_key('ann@example.org'))"
    ).fetchall()
    ((brand, program),) = app.execute(
        "SELECT brand, program FROM read_unsubscribe_token(%s)", [token]
    ).fetchall()
    assert (brand, program) == ("acme", "news")

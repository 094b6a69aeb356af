-- Recipients: whom producers tell, how they are reached and what they wish, with its history.

SET LOCAL lock_timeout = '3s';

CREATE TABLE notifyq.recipient (
    cell         smallint    NOT NULL,
    tenant_id    integer     NOT NULL,
    test         boolean     NOT NULL,  -- test keys have recipients of their own
    id           text        NOT NULL,  -- the producer's; `*` holds the tenant's defaults
    version      integer     NOT NULL,
    profile      text        NOT NULL,  -- JSON, domain/profile.py; claims read it by the key
    merged_into  text,                  -- this person is that one: that one's profile counts
    changed_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT recipient_pk PRIMARY KEY (cell, tenant_id, test, id),
    CONSTRAINT recipient_version_from_1 CHECK (version >= 1),
    CONSTRAINT recipient_is_not_merged_into_itself CHECK (merged_into <> id)
) WITH (fillfactor = 80);

-- Every version there was: why somebody was told, or was not, is answered from it.
CREATE TABLE notifyq.recipient_version (
    cell       smallint    NOT NULL,
    tenant_id  integer     NOT NULL,
    test       boolean     NOT NULL,
    id         text        NOT NULL,
    version    integer     NOT NULL,
    profile    text        NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    actor      text        NOT NULL,
    erased     boolean     NOT NULL DEFAULT false,
    CONSTRAINT recipient_version_pk PRIMARY KEY (cell, tenant_id, test, id, version),
    CONSTRAINT recipient_version_erased_is_empty CHECK (NOT erased OR profile = '{}')
);

-- Who has which address.
CREATE TABLE notifyq.recipient_address (
    cell         smallint        NOT NULL,
    tenant_id    integer         NOT NULL,
    test         boolean         NOT NULL,
    id           text            NOT NULL,
    channel      notifyq.channel NOT NULL,
    address_key  bytea           NOT NULL,
    CONSTRAINT recipient_address_pk PRIMARY KEY (cell, tenant_id, test, id, channel, address_key)
);
CREATE INDEX recipient_address_key ON notifyq.recipient_address (cell, address_key);

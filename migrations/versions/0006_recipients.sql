-- Recipients: who they are and what they want, as it is now and as it was. Added only: what runs the
-- version before goes on beside it.

SET LOCAL lock_timeout = '3s';

-- A recipient as it is now. Test keys have their own: what they write no live key reads. The row
-- stays for good: once it is erased, or merged into another one, it says nothing but that.
CREATE TABLE notifyq.recipient (
    cell         smallint    NOT NULL,
    tenant_id    integer     NOT NULL,
    test         boolean     NOT NULL,
    id           text        NOT NULL,  -- the producer's name for the person; "*": the defaults
    version      integer     NOT NULL,  -- the newest; 0 while its first one is being written
    profile      text        NOT NULL,  -- JSON: see domain/profile.py; '{}': it says nothing
    erased       boolean     NOT NULL,
    merged_into  text,                  -- the same person: never one that is merged itself
    changed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),  -- when its version was written
    CONSTRAINT recipient_pk PRIMARY KEY (cell, tenant_id, test, id),
    CONSTRAINT recipient_of_tenant FOREIGN KEY (cell, tenant_id) REFERENCES notifyq.tenant (cell, id),
    CONSTRAINT recipient_merged_into_one FOREIGN KEY (cell, tenant_id, test, merged_into)
        REFERENCES notifyq.recipient (cell, tenant_id, test, id),
    CONSTRAINT recipient_id_has_1_to_128 CHECK (char_length(id) BETWEEN 1 AND 128),
    CONSTRAINT recipient_version_from_0 CHECK (version >= 0),
    CONSTRAINT recipient_one_end CHECK (NOT erased OR merged_into IS NULL),
    CONSTRAINT recipient_merged_into_another CHECK (merged_into <> id),
    CONSTRAINT recipient_gone_says_nothing
        CHECK ((profile = '{}') = (erased OR merged_into IS NOT NULL))
);
-- Whom an erasure or a merge takes along.
CREATE INDEX recipient_merged ON notifyq.recipient (cell, tenant_id, test, merged_into)
    WHERE merged_into IS NOT NULL;

-- Everything that it ever was; "as of yesterday" reads `at`. An erasure empties all of them.
CREATE TABLE notifyq.recipient_version (
    cell         smallint    NOT NULL,
    tenant_id    integer     NOT NULL,
    test         boolean     NOT NULL,
    id           text        NOT NULL,
    version      integer     NOT NULL,
    profile      text        NOT NULL,
    at           timestamptz NOT NULL,  -- in order: its recipient is locked
    actor        text        NOT NULL,  -- the label of the key
    erased       boolean     NOT NULL DEFAULT false,  -- what it said is gone
    merged_into  text,
    CONSTRAINT recipient_version_pk PRIMARY KEY (cell, tenant_id, test, id, version),
    CONSTRAINT recipient_version_of_recipient FOREIGN KEY (cell, tenant_id, test, id)
        REFERENCES notifyq.recipient (cell, tenant_id, test, id),
    CONSTRAINT recipient_version_from_1 CHECK (version >= 1),
    CONSTRAINT recipient_version_gone_says_nothing
        CHECK ((profile = '{}') = (erased OR merged_into IS NOT NULL))
);

-- Who has an address now.
CREATE TABLE notifyq.recipient_address (
    cell         smallint        NOT NULL,
    tenant_id    integer         NOT NULL,
    test         boolean         NOT NULL,
    address_key  bytea           NOT NULL,  -- notifyq.address_key(address)
    channel      notifyq.channel NOT NULL,
    id           text            NOT NULL,
    CONSTRAINT recipient_address_pk
        PRIMARY KEY (cell, address_key, channel, tenant_id, test, id),
    CONSTRAINT recipient_address_of_recipient FOREIGN KEY (cell, tenant_id, test, id)
        REFERENCES notifyq.recipient (cell, tenant_id, test, id),
    CONSTRAINT recipient_address_key_is_16_bytes CHECK (octet_length(address_key) = 16)
);
-- Whose addresses go with an erasure or a merge, by whatever secret their keys were made.
CREATE INDEX recipient_address_of ON notifyq.recipient_address (cell, tenant_id, test, id);

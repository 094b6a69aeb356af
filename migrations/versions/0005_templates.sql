-- Templates: what a tenant says, by locale and channel. Added only: what runs the version before
-- goes on beside it.

SET LOCAL lock_timeout = '3s';

-- A template as it is used now. Test keys have their own: what they write no live key sends.
CREATE TABLE notifyq.template (
    cell       smallint NOT NULL,
    tenant_id  integer  NOT NULL,
    test       boolean  NOT NULL,
    name       text     NOT NULL,
    version    integer  NOT NULL,  -- the newest; 0 while its first one is being written
    CONSTRAINT template_pk PRIMARY KEY (cell, tenant_id, test, name),
    CONSTRAINT template_of_tenant FOREIGN KEY (cell, tenant_id) REFERENCES notifyq.tenant (cell, id),
    CONSTRAINT template_name_is_a_name CHECK (name ~ '^[a-z0-9._-]{1,100}$'),
    CONSTRAINT template_version_from_0 CHECK (version >= 0)
);

-- Everything that it ever said. A delivery names its version; "as of" reads created_at.
CREATE TABLE notifyq.template_version (
    cell        smallint    NOT NULL,
    tenant_id   integer     NOT NULL,
    test        boolean     NOT NULL,
    name        text        NOT NULL,
    version     integer     NOT NULL,
    digest      bytea       NOT NULL,  -- SHA-256 of body: the same again is no new version
    body        text        NOT NULL,  -- JSON: default_locale, and the sources by locale and channel
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),  -- in order: its template is locked
    created_by  text        NOT NULL,  -- the label of the key
    CONSTRAINT template_version_pk PRIMARY KEY (cell, tenant_id, test, name, version),
    CONSTRAINT template_version_of_template FOREIGN KEY (cell, tenant_id, test, name)
        REFERENCES notifyq.template (cell, tenant_id, test, name),
    CONSTRAINT template_version_from_1 CHECK (version >= 1),
    CONSTRAINT template_version_digest_is_sha256 CHECK (octet_length(digest) = 32)
);

-- What was sent by a version is explained by it: no version is changed, and none goes.
CREATE FUNCTION notifyq.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is never changed: write a new row', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER template_version_stays
    BEFORE UPDATE OR DELETE OR TRUNCATE ON notifyq.template_version
    FOR EACH STATEMENT EXECUTE FUNCTION notifyq.refuse_change();

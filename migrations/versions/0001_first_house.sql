-- The first house: who pays, what was asked for, what is due, what was tried, who may send.
--
-- `cell` is the first column of every key: a tenant's home. Hot rows carry no foreign key, no
-- trigger and no jsonb. History is partitioned by the time inside its uuidv7 ids, so the primary
-- key stays (cell, id); its leaves are made by notifyq (store/partitions.py), never by a default.

SET LOCAL lock_timeout = '3s';

CREATE SCHEMA IF NOT EXISTS notifyq;

CREATE TYPE notifyq.channel AS ENUM ('sms', 'email', 'push', 'webhook');
CREATE TYPE notifyq.message_class AS ENUM ('emergency', 'otp', 'transactional', 'marketing');
CREATE TYPE notifyq.delivery_state AS ENUM (
    'standby', 'pending', 'in_doubt', 'sent', 'delivered', 'undelivered', 'unknown',
    'suppressed', 'expired', 'canceled', 'dead');
CREATE TYPE notifyq.outcome AS ENUM (
    'open', 'in_doubt', 'accepted', 'bounced', 'refused', 'throttled', 'unavailable',
    'not_sent', 'misconfigured', 'abandoned');

-- ------------------------------------------------------------------------------- who

CREATE TABLE notifyq.tenant (
    cell        smallint    NOT NULL,
    id          integer     GENERATED ALWAYS AS IDENTITY,  -- never leaves the database
    name        text        NOT NULL,
    brand       text        NOT NULL,                      -- who speaks: the scope of a STOP
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  text        NOT NULL,
    CONSTRAINT tenant_pk PRIMARY KEY (cell, id),
    CONSTRAINT tenant_name_once UNIQUE (cell, name),
    CONSTRAINT tenant_name_is_a_word CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$')
);

CREATE TABLE notifyq.api_key (
    cell        smallint    NOT NULL,
    key_hash    bytea       NOT NULL,  -- SHA-256 of the key: 192 random bits need no salt
    tenant_id   integer     NOT NULL,
    label       text        NOT NULL,  -- the key's first characters, to tell keys apart
    test        boolean     NOT NULL,
    scopes      text[]      NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  text        NOT NULL,
    revoked_at  timestamptz,
    revoked_by  text,
    CONSTRAINT api_key_pk PRIMARY KEY (cell, key_hash),
    CONSTRAINT api_key_label_once UNIQUE (cell, label),
    CONSTRAINT api_key_of_tenant FOREIGN KEY (cell, tenant_id) REFERENCES notifyq.tenant (cell, id),
    CONSTRAINT api_key_hash_is_sha256 CHECK (octet_length(key_hash) = 32),
    CONSTRAINT api_key_revoked_by_somebody CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);

-- --------------------------------------------------------------------------- accepted

-- The dedupe memory: longer-lived than anything that can replay a request, so unpartitioned.
CREATE TABLE notifyq.idempotency_key (
    cell             smallint    NOT NULL,
    tenant_id        integer     NOT NULL,
    operation        text        NOT NULL,  -- notify, event, ...
    key_hash         bytea       NOT NULL,  -- SHA-256 of the key
    fingerprint      bytea       NOT NULL,  -- SHA-256 of the RFC 8785 canonical request
    recovery_point   text        NOT NULL,  -- the last atomic phase that committed
    claim_token      uuid,                  -- who works on it; null when finished
    notification_id  uuid        NOT NULL,
    CONSTRAINT idempotency_key_pk PRIMARY KEY (cell, tenant_id, operation, key_hash),
    CONSTRAINT idempotency_key_hashes_are_sha256
        CHECK (octet_length(key_hash) = 32 AND octet_length(fingerprint) = 32),
    CONSTRAINT idempotency_key_claimed_iff_unfinished
        CHECK ((claim_token IS NULL) = (recovery_point = 'finished'))
) WITH (fillfactor = 90);

CREATE TABLE notifyq.stored_response (
    cell             smallint NOT NULL,
    notification_id  uuid     NOT NULL,
    status           smallint NOT NULL,
    body             bytea    NOT NULL,     -- replayed byte for byte
    CONSTRAINT stored_response_pk PRIMARY KEY (cell, notification_id)
) PARTITION BY RANGE (notification_id);

CREATE TABLE notifyq.notification (
    cell           smallint              NOT NULL,
    tenant_id      integer               NOT NULL,
    id             uuid                  NOT NULL,
    test           boolean               NOT NULL,
    class          notifyq.message_class NOT NULL,
    category       text                  NOT NULL,
    recipient      text,                            -- the producer's own id of the person
    metadata       text,                            -- the producer's own JSON, given back
    not_before     timestamptz,
    expires_at     timestamptz           NOT NULL,
    CONSTRAINT notification_pk PRIMARY KEY (cell, id),
    CONSTRAINT notification_lives_a_while CHECK (not_before IS NULL OR expires_at > not_before)
) PARTITION BY RANGE (id);

CREATE TABLE notifyq.delivery (
    cell             smallint               NOT NULL,
    criticality      smallint               NOT NULL,
    tenant_id        integer                NOT NULL,
    id               uuid                   NOT NULL,  -- the notification's id + 1, 2, 3 ...
    channel          notifyq.channel        NOT NULL,
    state            notifyq.delivery_state NOT NULL,
    expires_at       timestamptz            NOT NULL,
    not_before       timestamptz,
    changed_at       timestamptz            NOT NULL DEFAULT now(),
    brand            text                   NOT NULL,
    program          text                   NOT NULL,
    address_key      bytea                  NOT NULL,  -- notifyq.address_key(address)
    reason           text,                             -- why it rests, or why it waits
    CONSTRAINT delivery_pk PRIMARY KEY (cell, id),
    CONSTRAINT delivery_criticality_0_to_3 CHECK (criticality BETWEEN 0 AND 3),
    CONSTRAINT delivery_rests_with_a_reason
        CHECK (reason IS NOT NULL OR state IN ('pending', 'sent', 'delivered'))
) PARTITION BY RANGE (id);

-- Address and text live in short leaves of their own: evidence outlives content.
CREATE TABLE notifyq.content (
    cell         smallint NOT NULL,
    delivery_id  uuid     NOT NULL,
    address      text     NOT NULL,
    body         text     NOT NULL,
    CONSTRAINT content_pk PRIMARY KEY (cell, delivery_id)
) PARTITION BY RANGE (delivery_id);

-- --------------------------------------------------------------------------------- due

-- One row = this delivery is due. Whoever deletes it decides what becomes of the delivery.
-- Rows are inserted and deleted, never updated, so a row's ctid is good while it is locked.
CREATE TABLE notifyq.job (
    cell         smallint        NOT NULL,
    criticality  smallint        NOT NULL,
    lane         integer         NOT NULL,
    due          timestamptz     NOT NULL,
    delivery_id  uuid            NOT NULL,
    channel      notifyq.channel NOT NULL,
    attempts     smallint        NOT NULL,  -- begun so far: the next one's number less one
    tries        smallint        NOT NULL,  -- of these, the ones that count against the limit
    -- no primary key here: it would have to hold the channel; each leaf has its own
    CONSTRAINT job_criticality_0_to_3 CHECK (criticality BETWEEN 0 AND 3),
    CONSTRAINT job_tries_are_attempts CHECK (tries BETWEEN 0 AND attempts)
) PARTITION BY LIST (channel);

-- Leaves are addressed by name on the hot path. Autovacuum is told to come often and never to
-- truncate: truncation takes ACCESS EXCLUSIVE and would stall every claim.
CREATE TABLE notifyq.job_sms PARTITION OF notifyq.job (
    CONSTRAINT job_sms_pk PRIMARY KEY (cell, delivery_id)
) FOR VALUES IN ('sms')
WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
      autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);
CREATE TABLE notifyq.job_email PARTITION OF notifyq.job (
    CONSTRAINT job_email_pk PRIMARY KEY (cell, delivery_id)
) FOR VALUES IN ('email')
WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
      autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);
CREATE TABLE notifyq.job_push PARTITION OF notifyq.job (
    CONSTRAINT job_push_pk PRIMARY KEY (cell, delivery_id)
) FOR VALUES IN ('push')
WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
      autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);
CREATE TABLE notifyq.job_webhook PARTITION OF notifyq.job (
    CONSTRAINT job_webhook_pk PRIMARY KEY (cell, delivery_id)
) FOR VALUES IN ('webhook')
WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
      autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

CREATE INDEX job_sms_due ON notifyq.job_sms (cell, lane, criticality, due);
CREATE INDEX job_email_due ON notifyq.job_email (cell, lane, criticality, due);
CREATE INDEX job_push_due ON notifyq.job_push (cell, lane, criticality, due);
CREATE INDEX job_webhook_due ON notifyq.job_webhook (cell, lane, criticality, due);

-- When to look again at a delivery that waits for something other than its turn.
CREATE TABLE notifyq.timer (
    cell         smallint    NOT NULL,
    delivery_id  uuid        NOT NULL,
    kind         text        NOT NULL,
    due          timestamptz NOT NULL,
    CONSTRAINT timer_pk PRIMARY KEY (cell, delivery_id, kind),
    CONSTRAINT timer_kind_known CHECK (kind IN ('settle_window'))
);
CREATE INDEX timer_due ON notifyq.timer (cell, due);

-- --------------------------------------------------------------------------------- tried

CREATE TABLE notifyq.attempt (
    cell              smallint        NOT NULL,
    number            smallint        NOT NULL,  -- 1, 2, 3 ... of its delivery
    lane              integer         NOT NULL,
    delivery_id       uuid            NOT NULL,
    epoch             bigint          NOT NULL,  -- the fence's, when it was begun
    began_at          timestamptz     NOT NULL,
    send_by           timestamptz     NOT NULL,  -- an open attempt past this is in doubt
    consent_revision  bigint          NOT NULL,  -- what the consent row said when we decided
    outcome           notifyq.outcome NOT NULL,
    worker            uuid            NOT NULL,
    ended_at          timestamptz,
    late_at           timestamptz,               -- evidence of acceptance after it was closed
    provider_id       text,
    code              text,                      -- the provider's, or how its answer was lost
    CONSTRAINT attempt_pk PRIMARY KEY (cell, delivery_id, number),
    CONSTRAINT attempt_number_from_1 CHECK (number >= 1),
    CONSTRAINT attempt_epoch_from_1 CHECK (epoch >= 1),
    CONSTRAINT attempt_ended_iff_settled
        CHECK ((ended_at IS NULL) = (outcome IN ('open', 'in_doubt'))),
    CONSTRAINT attempt_acceptance_has_a_name
        CHECK (outcome <> 'accepted' OR provider_id IS NOT NULL)
) PARTITION BY RANGE (delivery_id);

-- P3, kept by the database: at most one attempt that may have reached somebody.
CREATE UNIQUE INDEX one_live_attempt ON notifyq.attempt (cell, delivery_id)
    WHERE outcome IN ('open', 'in_doubt', 'accepted');
-- Finds leases that ran out.
CREATE INDEX attempt_open ON notifyq.attempt (cell, send_by) WHERE outcome = 'open';

CREATE TABLE notifyq.dead_letter (
    cell          smallint    NOT NULL,
    delivery_id   uuid        NOT NULL,
    cause         text        NOT NULL,
    detail        text,
    at            timestamptz NOT NULL DEFAULT now(),
    dedupe_until  timestamptz NOT NULL,  -- until then a replay of its request is recognised
    CONSTRAINT dead_letter_pk PRIMARY KEY (cell, delivery_id),
    CONSTRAINT dead_letter_cause_known CHECK (cause IN (
        'refused_address', 'refused_content', 'retries_exhausted', 'outcome_unknown'))
);

-- What providers told us later. The reference that we planted names the attempt.
CREATE TABLE notifyq.receipt (
    cell         smallint    NOT NULL,
    delivery_id  uuid        NOT NULL,
    number       smallint    NOT NULL,
    rank         smallint    NOT NULL,  -- a later stage at the provider has the higher rank
    provider     text        NOT NULL,
    provider_id  text        NOT NULL,
    status       text        NOT NULL,  -- the provider's own word
    code         text,
    received_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT receipt_pk
        PRIMARY KEY (cell, delivery_id, number, provider, provider_id, status)
) PARTITION BY RANGE (delivery_id);

-- Events, written in the transaction that caused them.
CREATE TABLE notifyq.outbox (
    cell       smallint    NOT NULL,
    tenant_id  integer     NOT NULL,
    id         uuid        NOT NULL,
    about      uuid        NOT NULL,  -- a notification's or a delivery's id
    kind       text        NOT NULL,
    CONSTRAINT outbox_pk PRIMARY KEY (cell, id)
) PARTITION BY RANGE (id);

-- --------------------------------------------------------------------------- who may send

CREATE TABLE notifyq.fence (
    cell         smallint    NOT NULL,
    epoch        bigint      NOT NULL,
    region       text        NOT NULL,
    phase        text        NOT NULL,
    sync_policy  text        NOT NULL,  -- synchronous_standby_names it was opened with
    changed_at   timestamptz NOT NULL DEFAULT now(),
    changed_by   text        NOT NULL,
    reason       text        NOT NULL,
    CONSTRAINT fence_pk PRIMARY KEY (cell),
    CONSTRAINT fence_epoch_from_1 CHECK (epoch >= 1),
    CONSTRAINT fence_phase_known CHECK (phase IN ('open', 'draining', 'closed'))
);

CREATE TABLE notifyq.worker (
    cell        smallint        NOT NULL,
    id          uuid            NOT NULL,  -- one incarnation of one process
    channel     notifyq.channel NOT NULL,
    region      text            NOT NULL,
    epoch       bigint          NOT NULL,
    started_at  timestamptz     NOT NULL DEFAULT now(),
    seen_at     timestamptz     NOT NULL DEFAULT now(),
    CONSTRAINT worker_pk PRIMARY KEY (cell, id, channel)
) WITH (fillfactor = 50);

CREATE TABLE notifyq.lane (
    cell        smallint        NOT NULL,
    id          integer         GENERATED ALWAYS AS IDENTITY,
    channel     notifyq.channel NOT NULL,
    provider    text            NOT NULL,  -- the account's name in the settings
    created_at  timestamptz     NOT NULL DEFAULT now(),
    CONSTRAINT lane_pk PRIMARY KEY (cell, id),
    CONSTRAINT lane_provider_once UNIQUE (cell, channel, provider)
);

-- ------------------------------------------------------------------------------- consent

-- One lockable row per (brand, channel, address), there before the first send.
CREATE TABLE notifyq.consent (
    cell         smallint        NOT NULL,
    brand        text            NOT NULL,
    channel      notifyq.channel NOT NULL,
    address_key  bytea           NOT NULL,
    blocked      boolean         NOT NULL,
    revision     bigint          NOT NULL,  -- rises with every change
    changed_at   timestamptz     NOT NULL DEFAULT now(),
    CONSTRAINT consent_pk PRIMARY KEY (cell, brand, channel, address_key),
    CONSTRAINT consent_revision_from_0 CHECK (revision >= 0)
) WITH (fillfactor = 80);

-- The evidence behind it: only ever added to.
CREATE TABLE notifyq.consent_event (
    cell         smallint        NOT NULL,
    id           uuid            NOT NULL,
    brand        text            NOT NULL,
    channel      notifyq.channel NOT NULL,
    address_key  bytea           NOT NULL,
    revision     bigint          NOT NULL,
    kind         text            NOT NULL,
    at           timestamptz     NOT NULL DEFAULT now(),
    actor        text            NOT NULL,
    reason       text            NOT NULL,
    CONSTRAINT consent_event_pk PRIMARY KEY (cell, id),
    CONSTRAINT consent_event_once UNIQUE (cell, brand, channel, address_key, revision),
    CONSTRAINT consent_event_kind_known CHECK (kind IN ('opt_out'))
);

-- ---------------------------------------------------------------------------- address key

-- The secret behind address keys, as the two pads of HMAC (RFC 2104), so that core sha256()
-- computes the HMAC. Only the owner of the schema reads it.
CREATE TABLE notifyq.address_secret (
    version     smallint    NOT NULL,
    inner_pad   bytea       NOT NULL,
    outer_pad   bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT address_secret_pk PRIMARY KEY (version),
    CONSTRAINT address_secret_pads_are_blocks
        CHECK (octet_length(inner_pad) = 64 AND octet_length(outer_pad) = 64)
);
REVOKE ALL ON notifyq.address_secret FROM PUBLIC;

-- HMAC-SHA-256 of a normalised address, cut to 128 bits: what indexes and audits hold instead of
-- numbers. SECURITY DEFINER, so that a look-up by number needs no right to read the secret.
CREATE FUNCTION notifyq.address_keys(addresses text[]) RETURNS SETOF bytea
    LANGUAGE sql STABLE SECURITY DEFINER STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT substring(sha256(s.outer_pad || sha256(s.inner_pad || convert_to(a.address, 'UTF8')))
                     FROM 1 FOR 16)
      FROM unnest(addresses) WITH ORDINALITY AS a (address, place),
           (SELECT inner_pad, outer_pad FROM notifyq.address_secret
             ORDER BY version DESC LIMIT 1) AS s
     ORDER BY a.place
$$;

CREATE FUNCTION notifyq.address_key(address text) RETURNS bytea
    LANGUAGE sql STABLE SECURITY DEFINER STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM notifyq.address_keys(ARRAY[address])
$$;

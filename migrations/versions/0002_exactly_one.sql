-- Exactly one: what is needed to settle doubts, redrive dead letters, call back, fall back to the
-- next channel, and accept a request in more than one phase.
--
-- New columns are nullable and new tables empty, so the version before works beside this one. The
-- two checks that are made anew stand on tables that hold exceptions only.

SET LOCAL lock_timeout = '3s';

-- --------------------------------------------------------------------------- deliveries

ALTER TABLE notifyq.delivery
    -- null: never_twice. Else at_least_once: when an attempt in doubt is abandoned and sent again.
    ADD COLUMN resend_after_s integer,
    -- The producer called it back while it was being sent: no other attempt may begin.
    ADD COLUMN cancel_requested_at timestamptz;

-- `strategy: first`: deliveries whose turn has not come. Whoever deletes the row decides.
CREATE TABLE notifyq.standby (
    cell         smallint NOT NULL,
    delivery_id  uuid     NOT NULL,
    lane         integer  NOT NULL,  -- planned, for the job that its turn makes
    CONSTRAINT standby_pk PRIMARY KEY (cell, delivery_id)
);

-- --------------------------------------------------------------------------- doubts

ALTER TABLE notifyq.timer
    ADD COLUMN lane integer,                     -- who looks the attempt up
    ADD COLUMN step smallint NOT NULL DEFAULT 0, -- look-ups made so far
    DROP CONSTRAINT timer_kind_known,
    ADD CONSTRAINT timer_kind_known CHECK (kind IN ('settle_window', 'resend', 'look_up')),
    ADD CONSTRAINT timer_look_up_has_a_lane CHECK (kind <> 'look_up' OR lane IS NOT NULL),
    ADD CONSTRAINT timer_step_from_0 CHECK (step >= 0);

ALTER TABLE notifyq.dead_letter
    DROP CONSTRAINT dead_letter_cause_known,
    ADD CONSTRAINT dead_letter_cause_known CHECK (cause IN (
        'refused_address', 'refused_content', 'retries_exhausted', 'outcome_unknown',
        'undelivered'));
CREATE INDEX dead_letter_at ON notifyq.dead_letter (cell, at);

-- What a person, or a producer by the API, did to a delivery: who, when, why. Only ever added to.
CREATE TABLE notifyq.intervention (
    cell         smallint    NOT NULL,
    id           uuid        NOT NULL,
    delivery_id  uuid        NOT NULL,
    kind         text        NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    actor        text        NOT NULL,
    reason       text        NOT NULL,
    evidence     text,                 -- what proves it, for the kinds that need a proof
    CONSTRAINT intervention_pk PRIMARY KEY (cell, id),
    CONSTRAINT intervention_kind_known CHECK (kind IN (
        'redrive', 'redrive_past_dedupe', 'discard', 'carried_out', 'not_carried_out', 'cancel')),
    CONSTRAINT intervention_proof_where_needed
        CHECK (evidence IS NOT NULL OR kind NOT IN ('carried_out', 'not_carried_out'))
);
CREATE INDEX intervention_delivery ON notifyq.intervention (cell, delivery_id);

-- ----------------------------------------------------------------------------- accepted

-- A request between two of its atomic phases: what is needed to go on without the client.
CREATE TABLE notifyq.unfinished_key (
    cell             smallint    NOT NULL,
    notification_id  uuid        NOT NULL,
    tenant_id        integer     NOT NULL,
    operation        text        NOT NULL,
    key_hash         bytea       NOT NULL,
    claimed_until    timestamptz NOT NULL,            -- then the completer, or a retry, takes over
    tries            integer     NOT NULL DEFAULT 0,  -- the completer's, that failed
    trouble          text,                            -- why the last of them did
    ask              bytea       NOT NULL,            -- the valid request, as accept reads it
    CONSTRAINT unfinished_key_pk PRIMARY KEY (cell, notification_id),
    CONSTRAINT unfinished_key_tries_from_0 CHECK (tries >= 0),
    CONSTRAINT unfinished_key_failed_with_a_reason CHECK (tries = 0 OR trouble IS NOT NULL)
);
CREATE INDEX unfinished_key_claim ON notifyq.unfinished_key (cell, claimed_until);

-- The second net, for producers that make a new key when they retry: one notification per
-- (tenant, recipient, category, dedupe_key), as long as the mark lasts.
CREATE TABLE notifyq.dedupe_mark (
    cell             smallint    NOT NULL,
    tenant_id        integer     NOT NULL,
    mark             bytea       NOT NULL,  -- SHA-256 of mode, recipient, category, dedupe_key
    notification_id  uuid        NOT NULL,
    until            timestamptz NOT NULL,
    CONSTRAINT dedupe_mark_pk PRIMARY KEY (cell, tenant_id, mark),
    CONSTRAINT dedupe_mark_is_sha256 CHECK (octet_length(mark) = 32)
);
CREATE INDEX dedupe_mark_until ON notifyq.dedupe_mark (cell, until);

-- Email and push: what a message says beside its text; which addresses are dead; what people write
-- to our numbers. All of it is added: what runs the version before goes on beside it.

SET LOCAL lock_timeout = '3s';

-- A mail's subject and HTML, a push's title and data, as JSON; a text message has none of it.
ALTER TABLE notifyq.content ADD COLUMN more text;

-- Since when the producer knows the address to be the person's: what was dead before may live again.
ALTER TABLE notifyq.delivery ADD COLUMN registered_at timestamptz;

-- What providers told of the address. It lies beside consent because it is read under the same
-- lock, at the same moment, for the same question: may this be sent?
ALTER TABLE notifyq.consent
    ADD COLUMN dead_at       timestamptz,  -- by the provider's clock, where it says when
    ADD COLUMN dead_code     text,
    ADD COLUMN alive_at      timestamptz,  -- somebody said so then: older news counts no more
    ADD COLUMN soft_bounces  smallint NOT NULL DEFAULT 0,  -- in a row; a delivery sets it to 0
    ADD CONSTRAINT consent_dead_with_its_code CHECK ((dead_at IS NULL) = (dead_code IS NULL)),
    ADD CONSTRAINT consent_soft_bounces_from_0 CHECK (soft_bounces >= 0);

-- Text messages to our numbers, kept once each.
CREATE TABLE notifyq.inbound (
    cell         smallint    NOT NULL,
    provider     text        NOT NULL,  -- the account that handed it over
    provider_id  text        NOT NULL,
    sender       text        NOT NULL,  -- E.164: who wrote
    receiver     text        NOT NULL,  -- E.164: our number
    body         text        NOT NULL,
    written_at   timestamptz,           -- by the provider's clock, where it says so
    received_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT inbound_pk PRIMARY KEY (cell, provider, provider_id)
);
CREATE INDEX inbound_received ON notifyq.inbound (cell, received_at);

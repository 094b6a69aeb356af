-- Consent: what stands, and what it is made of. And what a delivery obeys beside it: the wishes of
-- its recipient, hours, caps. All of it is added: what runs the version before goes on beside it.

SET LOCAL lock_timeout = '3s';

-- What the events of an address add up to (domain/consent.py). `blocked` is the whole brand but
-- for its separate programs, which have blocks of their own.
ALTER TABLE notifyq.consent
    ADD COLUMN programs   text[]        NOT NULL DEFAULT '{}',
    ADD COLUMN held       boolean       NOT NULL DEFAULT false,  -- a person has yet to read a text
    ADD COLUMN consented  boolean       NOT NULL DEFAULT false,  -- in writing, after any opt-out
    ADD COLUMN begun_at   timestamptz[] NOT NULL DEFAULT '{}',   -- of what is capped: the last ones
    ADD COLUMN soft_since timestamptz;                           -- the first of the soft bounces

-- The ledger. `at` is when we stored it, `happened_at` when it happened: that one counts.
ALTER TABLE notifyq.consent_event
    ADD COLUMN happened_at  timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN source       text        NOT NULL DEFAULT 'operator',
    ADD COLUMN program      text,                             -- a separate one; null: the brand
    ADD COLUMN evidence     text,                             -- JSON: wording, medium, ids
    ADD COLUMN blocked      boolean     NOT NULL DEFAULT true,  -- what stood after it: as in consent
    ADD COLUMN programs     text[]      NOT NULL DEFAULT '{}',
    DROP CONSTRAINT consent_event_kind_known;
UPDATE notifyq.consent_event SET happened_at = at;
ALTER TABLE notifyq.consent_event
    ADD CONSTRAINT consent_event_kind_known CHECK (kind IN (
        'opt_out', 'lift', 'consent', 'hold', 'release', 'reassigned')),
    ADD CONSTRAINT consent_event_source_known CHECK (source IN (
        'sms', 'email', 'web', 'provider', 'operator', 'import', 'merge'));

-- Nobody changes evidence, its owner included. The table is cold: a trigger costs nothing here.
CREATE TRIGGER consent_event_is_only_added_to
    BEFORE UPDATE OR DELETE OR TRUNCATE ON notifyq.consent_event
    FOR EACH STATEMENT EXECUTE FUNCTION notifyq.refuse_change();
ALTER TABLE notifyq.consent_event ENABLE ALWAYS TRIGGER consent_event_is_only_added_to;

-- What a delivery obeys, as it was when it was accepted.
ALTER TABLE notifyq.delivery
    ADD COLUMN category          text,
    ADD COLUMN recipient         text,      -- the producer's id; its profile is read again at begin
    ADD COLUMN hours             text,      -- null: any
    ADD COLUMN time_zone         text,      -- of a recipient who is not kept here
    ADD COLUMN cap               smallint,  -- at most so many begins in 24 hours; null: any number
    ADD COLUMN sender            text,      -- the number that answers; null: by brand and program
    ADD COLUMN is_marketing      boolean NOT NULL DEFAULT false,
    ADD COLUMN is_mandatory      boolean NOT NULL DEFAULT false,  -- no preference turns it off
    ADD COLUMN is_separate       boolean NOT NULL DEFAULT false,  -- its program is out of a STOP
    ADD COLUMN is_exempt         boolean NOT NULL DEFAULT false,  -- goes out whatever was opted out
    ADD COLUMN template          text,
    ADD COLUMN template_version  integer,
    ADD COLUMN locale            text,
    ADD CONSTRAINT delivery_hours_known CHECK (hours IN ('recipient', 'courtesy', 'legal')),
    ADD CONSTRAINT delivery_cap_from_1 CHECK (cap >= 1),
    ADD CONSTRAINT delivery_template_has_a_version
        CHECK ((template IS NULL) = (template_version IS NULL));

-- ------------------------------------------------------------------- one-click unsubscribe

-- Tokens of List-Unsubscribe (RFC 8058): opaque, and good for ever. Who may call this can make
-- them, and never sees the secret: version, MAC (128 bits), cell, address key, brand and program.
CREATE FUNCTION notifyq.unsubscribe_mac(secret smallint, said bytea) RETURNS bytea
    LANGUAGE sql STABLE SECURITY DEFINER STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT substring(sha256(s.outer_pad || sha256(s.inner_pad || '\x00756e737562'::bytea || said))
                     FROM 1 FOR 16)
      FROM notifyq.address_secret AS s WHERE s.version = secret
$$;

CREATE FUNCTION notifyq.unsubscribe_token(
    cell smallint, brand text, program text, address_key bytea) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT rtrim(translate(encode(int2send(v.version) || notifyq.unsubscribe_mac(v.version, v.said)
                                  || v.said, 'base64'), E'+/\n', '-_'), '=')
      FROM (SELECT max(version) AS version,
                   int2send(cell) || address_key || convert_to(brand || '/' || program, 'UTF8')
                       AS said
              FROM notifyq.address_secret) AS v
$$;

-- No row: not a token of ours.
CREATE FUNCTION notifyq.read_unsubscribe_token(token text)
    RETURNS TABLE (cell smallint, brand text, program text, address_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    raw   bytea;
    said  bytea;
    words text;
BEGIN
    raw := decode(rpad(translate(token, '-_', '+/'), (length(token) + 3) / 4 * 4, '='), 'base64');
    said := substring(raw FROM 19);
    IF length(raw) < 37 OR notifyq.unsubscribe_mac(
        (get_byte(raw, 0) << 8 | get_byte(raw, 1))::smallint, said)
        IS DISTINCT FROM substring(raw FROM 3 FOR 16) THEN
        RETURN;
    END IF;
    words := convert_from(substring(said FROM 19), 'UTF8');
    RETURN QUERY SELECT (get_byte(said, 0) << 8 | get_byte(said, 1))::smallint,
                        split_part(words, '/', 1), split_part(words, '/', 2),
                        substring(said FROM 3 FOR 16);
EXCEPTION WHEN data_exception THEN
    RETURN;
END
$$;

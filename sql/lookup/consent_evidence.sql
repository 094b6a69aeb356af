-- Question    What was ever said about this number, what proves it, and what was sent after each word?
-- Parameters  number, in international form; or a mail address, in lower case.
--             psql -v number=+14155550123 -f consent_evidence.sql
-- Cost        reads every delivery and every consent event: neither is indexed by number.
--
-- A row: one event, or one attempt below the last event that it had read; by brand and channel.
--   revision      of an event: its place in the ledger. Of a send: the state of the consent row that it
--                 read under the row's lock; so it began after that event was committed, and before the
--                 next one was, whatever the clocks say. 0: no word had been said. Empty: never tried
--   what          the event (opt_out, lift, consent, hold, release, reassigned), or send, or not_sent
--   at            when it happened; of a send, when the attempt began; of what was not sent, when it
--                 came to rest
--   program       that it is about; of an event, empty: the whole brand
--   source, actor, reason   by which way we learnt of it, who noted it and why; of what was not sent,
--                 its state and reason
--   blocked, programs   what stood after the event
--   evidence      JSON: the words, their version, medium and page; of a text, what the person wrote
--   delivery, category, template, version, locale   what was sent; the text itself is not shown here
--   marks         marketing; exempt: the answer to a STOP, or an approved emergency; separate: its
--                 program is out of the brand's STOP
--   attempt, provider, ended_at, outcome, provider_id   how it was tried, and how that ended
-- No row: nothing was ever said about this number, and nothing was due to it.
--
-- What to do: hand it to counsel with the templates' versions, which GET /v1/templates shows. A send of
-- a blocked revision that is neither exempt nor separate: sql/audit/sent_after_opt_out.sql.

WITH person AS (
    SELECT notifyq.address_key(:'number') AS address_key
), told AS (
    SELECT e.brand, e.channel::text AS channel, e.revision, e.kind AS what, e.happened_at AS at,
           e.program, e.source, e.actor, e.reason, e.blocked, e.programs, e.evidence,
           NULL::uuid AS delivery, NULL AS category, NULL AS template, NULL::int AS version,
           NULL AS locale, NULL AS marks, NULL::smallint AS attempt, NULL AS provider,
           NULL::timestamptz AS ended_at, NULL AS outcome, NULL AS provider_id
      FROM person
      JOIN notifyq.consent_event AS e ON e.address_key = person.address_key
    UNION ALL
    SELECT d.brand, d.channel::text, a.consent_revision,
           CASE WHEN a.number IS NULL THEN 'not_sent' ELSE 'send' END,
           coalesce(a.began_at, d.changed_at), d.program, NULL, NULL,
           CASE WHEN a.number IS NULL THEN concat_ws(': ', d.state, d.reason) END, NULL, NULL, NULL,
           d.id, coalesce(d.category, n.category), d.template, d.template_version, d.locale,
           concat_ws(' ', CASE WHEN d.is_marketing THEN 'marketing' END,
                     CASE WHEN d.is_exempt THEN 'exempt' END,
                     CASE WHEN d.is_separate THEN 'separate' END),
           a.number, l.provider, a.ended_at, a.outcome::text, a.provider_id
      FROM person
      JOIN notifyq.delivery AS d ON d.address_key = person.address_key
      LEFT JOIN notifyq.notification AS n
        ON n.cell = d.cell AND n.id = (left(d.id::text, 32) || '0000')::uuid
      LEFT JOIN notifyq.attempt AS a ON a.cell = d.cell AND a.delivery_id = d.id
      LEFT JOIN notifyq.lane AS l ON l.cell = a.cell AND l.id = a.lane
)
SELECT * FROM told
 ORDER BY brand, channel, revision, what = 'send', at, delivery, attempt;

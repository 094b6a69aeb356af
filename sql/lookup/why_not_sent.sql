-- Question    What was not sent to this number, or waits, and what decided that?
-- Parameters  number, in international form; or a mail address, in lower case.
--             psql -v number=+14155550123 -f why_not_sent.sql
-- Cost        reads every delivery: numbers are not indexed.
--
-- A row: one delivery that no provider has, or is known to have, the newest first, 200 at the most.
--   delivery        `notifyq show` takes it
--   state, reason, since   where it stands, why (the README's table of reasons), and since when
--   due             when it is looked at again; empty: never
--   expires_at, not_before   the time that it was worth sending in
--   hours, cap, marks   what it obeyed: marketing; mandatory: no preference turns it off; exempt and
--                   separate: a STOP of the brand does not reach it
--   attempts, outcome, code   how often a provider was tried, and what the last one said
--   word, word_program, word_source, word_at, word_stored_at, word_reason   the last opt-out that had
--                   been stored by then for its brand or its program (else the first of the 10 s
--                   after: times are those at which transactions began); empty: none
--   lifted_at       when a word took opt-outs back, after that one; empty: none did
--   dead_at, dead_code   since when a provider calls the address dead, and by which code
--   begun_in_day    of a cap: begins of capped messages to the number in the 24 hours before `since`
-- No row: all that was accepted for this number in what is kept was sent, or nothing was.
--
-- What to do: `notifyq explain NUMBER CATEGORY` says the same of the next message, by every rule; with
-- the producer's id of the person instead of the number it reads their preferences and quiet hours,
-- which this role may not. preference_off and quiet_hours are theirs.

WITH person AS (
    SELECT notifyq.address_key(:'number') AS address_key
)
SELECT to_timestamp(('x' || translate(left(d.id::text, 13), '-', ''))::bit(48)::bigint / 1000.0)
           AS accepted_at,
       t.name AS tenant, d.brand, d.channel::text AS channel, coalesce(d.category, n.category)
           AS category, d.program, d.id AS delivery, d.state::text AS state, d.reason,
       d.changed_at AS since, j.due, d.expires_at, d.not_before, d.hours, d.cap,
       concat_ws(' ', CASE WHEN d.is_marketing THEN 'marketing' END,
                 CASE WHEN d.is_mandatory THEN 'mandatory' END,
                 CASE WHEN d.is_exempt THEN 'exempt' END,
                 CASE WHEN d.is_separate THEN 'separate' END) AS marks,
       coalesce(a.attempts, 0) AS attempts, a.outcome, a.code,
       stop.kind AS word, stop.program AS word_program, stop.source AS word_source,
       stop.happened_at AS word_at, stop.at AS word_stored_at, stop.reason AS word_reason,
       lift.at AS lifted_at, c.dead_at, c.dead_code,
       CASE WHEN d.cap IS NOT NULL THEN (
           SELECT count(*)
             FROM notifyq.delivery AS o
             JOIN notifyq.attempt AS b ON b.cell = o.cell AND b.delivery_id = o.id AND b.number = 1
            WHERE o.cell = d.cell AND o.brand = d.brand AND o.channel = d.channel
              AND o.address_key = d.address_key AND o.cap IS NOT NULL
              AND b.began_at > d.changed_at - interval '24 hours' AND b.began_at <= d.changed_at)
       END AS begun_in_day
  FROM person
  JOIN notifyq.delivery AS d ON d.address_key = person.address_key
  JOIN notifyq.tenant AS t ON t.cell = d.cell AND t.id = d.tenant_id
  LEFT JOIN notifyq.notification AS n
    ON n.cell = d.cell AND n.id = (left(d.id::text, 32) || '0000')::uuid
  LEFT JOIN notifyq.job AS j ON j.cell = d.cell AND j.delivery_id = d.id
  LEFT JOIN notifyq.consent AS c
    ON c.cell = d.cell AND c.brand = d.brand AND c.channel = d.channel
   AND c.address_key = d.address_key
  LEFT JOIN LATERAL (SELECT count(*) AS attempts,
                            (array_agg(outcome::text ORDER BY number DESC))[1] AS outcome,
                            (array_agg(code ORDER BY number DESC))[1] AS code
                       FROM notifyq.attempt
                      WHERE cell = d.cell AND delivery_id = d.id) AS a ON true
  LEFT JOIN LATERAL (SELECT e.revision, e.kind, e.program, e.source, e.happened_at, e.at, e.reason
                       FROM notifyq.consent_event AS e
                      WHERE e.cell = d.cell AND e.brand = d.brand AND e.channel = d.channel
                        AND e.address_key = d.address_key AND e.at <= d.changed_at + interval '10 s'
                        AND e.kind IN ('opt_out', 'reassigned')
                        AND (e.program = d.program OR (e.program IS NULL AND NOT d.is_separate))
                      ORDER BY e.at <= d.changed_at DESC,
                               CASE WHEN e.at <= d.changed_at THEN -e.revision ELSE e.revision END
                      LIMIT 1) AS stop ON true
  LEFT JOIN LATERAL (SELECT min(e.at) AS at
                       FROM notifyq.consent_event AS e
                      WHERE e.cell = d.cell AND e.brand = d.brand AND e.channel = d.channel
                        AND e.address_key = d.address_key AND e.revision > stop.revision
                        AND e.kind = 'lift' AND stop.program IS NOT DISTINCT FROM e.program) AS lift
    ON true
 WHERE d.state NOT IN ('sent', 'delivered', 'unknown', 'in_doubt')
   AND NOT EXISTS (SELECT FROM notifyq.attempt AS o
                    WHERE o.cell = d.cell AND o.delivery_id = d.id
                      AND o.outcome IN ('open', 'in_doubt', 'accepted'))
 ORDER BY d.id DESC
 LIMIT 200;

-- Question    What was sent to this number, or was to be, and what became of it?
-- Parameters  number, in international form.   psql -v number=+14155550123 -f sent_to_number.sql
-- Cost        reads every delivery: numbers are not indexed.
--
-- A row: one attempt of one delivery, the newest first, 200 at the most; a delivery that was never
-- tried has one row without an attempt.
--   delivery        `notifyq show` takes it
--   state, reason   where it stands, and why it rests there
--   outcome         open and in_doubt: it may have been carried out. accepted: the provider took it.
--                   bounced: taken, not delivered. The others: it was not carried out
--   provider_id     what the provider calls it: quote it to the provider's support
--   late_at         evidence came later that it was carried out after all
-- No row: nothing was accepted for this number in what is kept. What it said is not shown here.

SELECT to_timestamp(('x' || translate(left(d.id::text, 13), '-', ''))::bit(48)::bigint / 1000.0)
           AS accepted_at,
       t.name AS tenant, n.category, d.id AS delivery, d.state::text AS state, d.reason,
       a.number AS attempt, l.provider, a.began_at, a.outcome::text AS outcome, a.code,
       a.provider_id, a.late_at
  FROM notifyq.delivery AS d
  JOIN notifyq.tenant AS t ON t.cell = d.cell AND t.id = d.tenant_id
  LEFT JOIN notifyq.notification AS n
    ON n.cell = d.cell AND n.id = (left(d.id::text, 32) || '0000')::uuid
  LEFT JOIN notifyq.attempt AS a ON a.cell = d.cell AND a.delivery_id = d.id
  LEFT JOIN notifyq.lane AS l ON l.cell = a.cell AND l.id = a.lane
 WHERE d.address_key = notifyq.address_key(:'number')
 ORDER BY d.id DESC, a.number
 LIMIT 200;

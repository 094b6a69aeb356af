-- Question    Is this number blocked, for whom, since when, and on what evidence?
-- Parameters  number, in international form.   psql -v number=+14155550123 -f opt_out_status.sql
-- Cost        reads every consent row: it is kept by brand.
--
-- A row: one event of one brand and channel, the oldest first; a brand without events has one row.
--   blocked         what counts now: true is not sent to
--   changed_at      since when
--   event, at, actor, reason   what was done, when, by whom and why; empty: never opted out
-- No row: nothing was ever due to this number and nobody opted it out.
--
-- What to do: a person who says "I opted out" and is not blocked: `notifyq optout add`.

SELECT c.brand, c.channel::text AS channel, c.blocked, c.revision, c.changed_at,
       e.kind AS event, e.at, e.actor, e.reason
  FROM notifyq.consent AS c
  LEFT JOIN notifyq.consent_event AS e
    ON e.cell = c.cell AND e.brand = c.brand AND e.channel = c.channel
   AND e.address_key = c.address_key
 WHERE c.address_key = notifyq.address_key(:'number')
 ORDER BY c.brand, c.channel, e.revision;

-- Question    Is this number blocked, for whom, since when, and on what evidence?
-- Parameters  number, in international form; or a mail address, in lower case.
--             psql -v number=+14155550123 -f opt_out_status.sql
-- Cost        reads every consent row: it is kept by brand.
--
-- A row: one event of one brand and channel, in the order in which we learnt of them; a brand without
-- events has one row.
--   brand           whose messages; with :test behind it, what counts for test sends alone
--   blocked         what counts now: true is not sent to, but for programs that stand apart
--   programs        programs that are blocked by themselves
--   held            they wrote what a person has yet to read; marketing waits
--   consented       marketing may be sent: consent in writing, later than any opt-out
--   dead_at         since when a provider calls the address dead; empty: it does not
--   changed_at      since when it stands so
--   event, program, happened_at, at, source, actor, reason   what was said, for which program (empty:
--                   the brand), when, when we stored it, by which way, who noted it and why;
--                   empty: never a word
-- No row: nothing was ever due to this number and nobody opted it out.
--
-- What to do: a person who says "I opted out" and is not blocked: `notifyq optout add`. The whole
-- proof is in consent_evidence.sql.

SELECT c.brand, c.channel::text AS channel, c.blocked, c.programs, c.held, c.consented, c.dead_at,
       c.revision, CASE WHEN c.revision > 0 THEN c.changed_at END AS changed_at, e.kind AS event,
       e.program, e.happened_at, e.at, e.source, e.actor, e.reason
  FROM notifyq.consent AS c
  LEFT JOIN notifyq.consent_event AS e
    ON e.cell = c.cell AND e.brand = c.brand AND e.channel = c.channel
   AND e.address_key = c.address_key
 WHERE c.address_key = notifyq.address_key(:'number')
 ORDER BY c.brand, c.channel, e.revision;

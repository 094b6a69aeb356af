-- Question    Was anything begun to somebody who had opted out before?
-- Parameters  none.   psql -f sent_after_opt_out.sql
-- Cost        reads every opt-out with the deliveries to its number: one pass over delivery.
--
-- An opt-out and the begin of an attempt lock the same consent row, so one comes first. An attempt
-- keeps the revision that it read under that lock; an opt-out raises the revision by one.
--
-- A row: one attempt that began although the opt-out had come first. What proves it:
--   proof  read_blocked  it read the very revision that an opt-out had made: blocked, and began.
--                        Needs no clock.
--          read_stale    it read an older revision, yet its transaction started more than 60 s after
--                        the opt-out's. No session of ours keeps a transaction open for that long
--                        (lock_timeout 5 s, statement_timeout 15 s, for the commit too, 2 s idle), so
--                        the opt-out had committed by then, and a read under the lock would have
--                        seen it.
--   opted_out_at, began_at  both when the transaction started, by the database's clock
--   outcome                 not_sent: it began, but we know that it never left
--
-- Left out is what an opt-out does not reach: answers to a STOP or HELP and approved emergencies
-- (is_exempt), programs that stand apart (is_separate), and opt-outs that were taken back by a later
-- word of the person before we heard of them (e.blocked, e.programs: what stood after the event).
--
-- What rows cannot prove: an attempt with an older revision that began within 60 s after the opt-out
-- may have had the lock first, and then it was right to begin; those are not listed. An opt-out of
-- which we were told later, by a provider, counts from when we stored it. If the database's clock was
-- set back in between, read_stale may be wrong by that; read_blocked is not touched by clocks.
--
-- What to do: it reached a person who said stop. Keep the rows, stop the worker's version, answer to
-- the person; `notifyq show DELIVERY` has the whole story.

SELECT CASE WHEN a.consent_revision = e.revision THEN 'read_blocked' ELSE 'read_stale' END AS proof,
       d.cell, d.brand, d.channel::text AS channel, d.id AS delivery, a.number,
       e.at AS opted_out_at, a.began_at, e.revision AS opt_out_revision, a.consent_revision,
       a.outcome::text AS outcome, a.worker
  FROM notifyq.consent_event AS e
  JOIN notifyq.delivery AS d
    ON d.cell = e.cell AND d.brand = e.brand AND d.channel = e.channel
   AND d.address_key = e.address_key
  JOIN notifyq.attempt AS a ON a.cell = d.cell AND a.delivery_id = d.id
 WHERE e.kind IN ('opt_out', 'reassigned')
   AND NOT d.is_exempt
   AND (d.program = ANY (e.programs) OR (e.blocked AND NOT d.is_separate))
   AND (a.consent_revision = e.revision
        OR (a.consent_revision < e.revision AND a.began_at > e.at + interval '60 seconds'))
 ORDER BY a.began_at;

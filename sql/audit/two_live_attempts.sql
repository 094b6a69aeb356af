-- Question    Can any delivery have reached somebody twice?
-- Parameters  none.   psql -f two_live_attempts.sql
-- Cost        reads every attempt once.
--
-- A row: one delivery with more than one attempt that may have been carried out.
--   why      two_live  more than one is open, in doubt or accepted; the index one_live_attempt forbids
--                      it, so the index is gone or broken
--            late      one was closed as not carried out, and evidence came later that it was
--                      (late_at), beside another that may have been, too. Attempts that were
--                      abandoned on purpose, where a repeat was asked for, do not count
--   numbers, outcomes, provider_ids  of these attempts, in order
--
-- What to do: ask each provider what became of its provider_id. late: the provider's "no" was not
-- one; report which answer it gave (code). two_live: put the index back first.

SELECT CASE WHEN count(*) FILTER (WHERE a.outcome IN ('open', 'in_doubt', 'accepted')) > 1
            THEN 'two_live' ELSE 'late' END AS why,
       a.cell, a.delivery_id AS delivery,
       array_agg(a.number ORDER BY a.number) AS numbers,
       array_agg(a.outcome::text ORDER BY a.number) AS outcomes,
       array_agg(a.provider_id ORDER BY a.number) AS provider_ids,
       array_agg(a.code ORDER BY a.number) AS codes
  FROM notifyq.attempt AS a
 WHERE a.outcome IN ('open', 'in_doubt', 'accepted')
    OR (a.late_at IS NOT NULL AND a.outcome <> 'abandoned')
 GROUP BY a.cell, a.delivery_id
HAVING count(*) > 1
 ORDER BY a.cell, a.delivery_id;

-- Question    Was anything begun that the fence had not let begin?
-- Parameters  none.   psql -f attempt_without_epoch.sql
-- Cost        reads every attempt once.
--
-- A row: one attempt whose epoch the fence cannot have given.
--   why    no_fence     its cell has no fence
--          from_future  its epoch is higher than the fence's has ever been
--          stale        its epoch is lower than the fence's, and it began after the fence last changed.
--                       60 s are allowed: a change is stamped when its transaction starts, and until
--                       that commits the old epoch is the right one
--   epoch, fence_epoch, began_at, fence_changed_at, worker
--
-- What it cannot prove: the fence row knows its last change only, so a stale attempt from before that
-- is not seen. Times are the database's own; if its clock was set back, `stale` may be wrong by that.
--
-- What to do: stop the worker, take its credentials away at the provider, and ask the provider what
-- the attempt's reference did. from_future after a failover: the fence row was lost or restored old.

SELECT CASE WHEN f.cell IS NULL THEN 'no_fence'
            WHEN a.epoch > f.epoch THEN 'from_future'
            ELSE 'stale' END AS why,
       a.cell, a.delivery_id AS delivery, a.number, a.epoch, f.epoch AS fence_epoch,
       a.began_at, f.changed_at AS fence_changed_at, a.worker, a.outcome::text AS outcome
  FROM notifyq.attempt AS a
  LEFT JOIN notifyq.fence AS f ON f.cell = a.cell
 WHERE f.cell IS NULL
    OR a.epoch > f.epoch
    OR (a.epoch < f.epoch AND a.began_at > f.changed_at + interval '60 seconds')
 ORDER BY a.began_at;

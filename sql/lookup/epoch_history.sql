-- Question    Which region may send, since when and why, and what was begun at which epoch?
-- Parameters  none.   psql -f epoch_history.sql
-- Cost        reads every attempt once.
--
-- A row: one epoch of one cell, the newest first.
--   is_now                   the fence stands at this epoch; the columns after it are the fence's
--   region, phase            who may begin attempts: this region, while the phase is open
--   changed_at, changed_by, reason   the fence's last change, by whom and why
--   attempts, first_begun, last_begun, workers   what was begun at this epoch
-- An older epoch with last_begun after changed_at would be a stale region that still sends:
-- sql/audit/attempt_without_epoch.sql looks for that.

SELECT coalesce(f.cell, a.cell) AS cell, coalesce(f.epoch, a.epoch) AS epoch,
       f.cell IS NOT NULL AS is_now, f.region, f.phase, f.sync_policy, f.changed_at, f.changed_by,
       f.reason, coalesce(a.attempts, 0) AS attempts, a.first_begun, a.last_begun,
       coalesce(a.workers, 0) AS workers
  FROM notifyq.fence AS f
  FULL JOIN (SELECT cell, epoch, count(*) AS attempts, min(began_at) AS first_begun,
                    max(began_at) AS last_begun, count(DISTINCT worker) AS workers
               FROM notifyq.attempt
              GROUP BY cell, epoch) AS a
    ON a.cell = f.cell AND a.epoch = f.epoch
 ORDER BY cell, epoch DESC;

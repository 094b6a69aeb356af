-- Question    Can anything still be sent again whose dedupe mark is gone?
-- Parameters  none.   psql -f retention_order.sql
-- Cost        reads dead letters, jobs, doubts and keys once.
--
-- A row: one delivery that can come back, while nothing would recognise its request if that came too.
--   why          dead_letter  it may be redriven until dedupe_until, and its key is gone
--                job          it is due, and its key is gone
--                doubt        it may be resent, or resolved by hand, and its key is gone
--                unfinished   its request is not finished, and its key is gone
--                content      it may be redriven, and its text is gone
--   delivery     its id, or the notification's for `unfinished`
--   keys_until   the oldest notification that any key still stands for: keys are deleted from there on
--
-- What to do: dedupe_memory_days was shorter for a while than the settings now say, or keys or
-- partitions were deleted by hand. Discard or redrive these dead letters one by one, knowing that
-- their producers may have sent the same request anew.

WITH replayable AS (
    SELECT 'dead_letter' AS why, l.cell, l.delivery_id
      FROM notifyq.dead_letter AS l WHERE l.dedupe_until > now()
    UNION ALL
    SELECT 'job', j.cell, j.delivery_id FROM notifyq.job AS j
    UNION ALL
    SELECT 'doubt', t.cell, t.delivery_id
      FROM notifyq.timer AS t WHERE t.kind IN ('settle_window', 'resend')
    UNION ALL
    SELECT 'unfinished', u.cell, u.notification_id FROM notifyq.unfinished_key AS u
), found AS (
    SELECT r.why, r.cell, r.delivery_id
      FROM replayable AS r
     WHERE NOT EXISTS (SELECT FROM notifyq.idempotency_key AS k
                        WHERE k.cell = r.cell
                          AND k.notification_id = (left(r.delivery_id::text, 32) || '0000')::uuid)
    UNION ALL
    SELECT 'content', l.cell, l.delivery_id
      FROM notifyq.dead_letter AS l
     WHERE l.dedupe_until > now() AND l.cause <> 'outcome_unknown'
       AND NOT EXISTS (SELECT FROM notifyq.content AS c
                        WHERE c.cell = l.cell AND c.delivery_id = l.delivery_id)
)
SELECT f.why, f.cell, f.delivery_id AS delivery,
       (SELECT k.notification_id FROM notifyq.idempotency_key AS k
         ORDER BY k.notification_id LIMIT 1) AS keys_until
  FROM found AS f
 ORDER BY f.why, f.delivery_id;

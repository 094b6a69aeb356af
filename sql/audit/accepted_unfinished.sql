-- Question    What was accepted and is neither at rest nor on its way with a time by which something
--             happens, or is past that time?
-- Parameters  none.   psql -f accepted_unfinished.sql
-- Cost        reads the deliveries that are not at rest; all leaves of delivery are looked through.
--
-- A row: one delivery (or notification, or key) that would stay as it is for ever, or is late.
--   why    nothing_due      pending without a job and without an open attempt: nobody will touch it
--          past_expiry      pending more than 5 minutes past expires_at: no worker looks at its lane
--          lease_over       an attempt still open more than 5 minutes after send_by: no janitor
--          no_timer         in doubt without a settle window: it would stay in doubt
--          window_over      in doubt more than 5 minutes after its settle window closed: no janitor
--          no_delivery      a notification without deliveries
--          key_unfinished   a request whose key was not finished within 5 minutes
--   id     the delivery's, or the notification's: `notifyq show` takes it
--   since  when the time was over, or when it last changed
--
-- What to do: past_expiry: start workers (`notifyq doctor`, sql/lookup/lane_health.sql). lease_over
-- and window_over: start `notifyq janitor`. The others are bugs: keep the rows and report them.

SELECT 'nothing_due' AS why, d.cell, d.id, d.state::text AS state, d.changed_at AS since
  FROM notifyq.delivery AS d
 WHERE d.state = 'pending'
   AND NOT EXISTS (SELECT FROM notifyq.job AS j
                    WHERE j.cell = d.cell AND j.delivery_id = d.id AND j.channel = d.channel)
   AND NOT EXISTS (SELECT FROM notifyq.attempt AS a
                    WHERE a.cell = d.cell AND a.delivery_id = d.id AND a.outcome = 'open')
UNION ALL
SELECT 'past_expiry', d.cell, d.id, d.state::text, d.expires_at
  FROM notifyq.delivery AS d
 WHERE d.state = 'pending' AND d.expires_at < now() - interval '5 minutes'
   AND NOT EXISTS (SELECT FROM notifyq.attempt AS a
                    WHERE a.cell = d.cell AND a.delivery_id = d.id AND a.outcome = 'open')
UNION ALL
SELECT 'lease_over', a.cell, a.delivery_id, a.outcome::text, a.send_by
  FROM notifyq.attempt AS a
 WHERE a.outcome = 'open' AND a.send_by < now() - interval '5 minutes'
UNION ALL
SELECT CASE WHEN t.due IS NULL THEN 'no_timer' ELSE 'window_over' END,
       d.cell, d.id, d.state::text, coalesce(t.due, d.changed_at)
  FROM notifyq.delivery AS d
  LEFT JOIN notifyq.timer AS t
    ON t.cell = d.cell AND t.delivery_id = d.id AND t.kind = 'settle_window'
 WHERE d.state = 'in_doubt' AND (t.due IS NULL OR t.due < now() - interval '5 minutes')
UNION ALL
SELECT 'no_delivery', n.cell, n.id, 'accepted', at.instant
  FROM notifyq.notification AS n,
       LATERAL (SELECT to_timestamp(('x' || translate(left(n.id::text, 13), '-', ''))::bit(48)
                                    ::bigint / 1000.0) AS instant) AS at
 WHERE NOT EXISTS (SELECT FROM notifyq.delivery AS d
                    WHERE d.cell = n.cell
                      AND (left(d.id::text, 32) || '0000')::uuid = n.id)
UNION ALL
SELECT 'key_unfinished', k.cell, k.notification_id, k.recovery_point, at.instant
  FROM notifyq.idempotency_key AS k,
       LATERAL (SELECT to_timestamp(('x' || translate(left(k.notification_id::text, 13), '-', ''))
                                    ::bit(48)::bigint / 1000.0) AS instant) AS at
 WHERE k.recovery_point <> 'finished' AND at.instant < now() - interval '5 minutes'
 ORDER BY since;

-- Question    Is any request begun, and still not finished after an hour?
-- Parameters  none.   psql -f unfinished_key.sql
-- Cost        reads the unfinished keys; on a healthy system there are none, or a few seconds old.
--
-- A row: one request to many recipients of which only a part was written. It is never deleted.
--   notification    its id; notifyq show takes it
--   recovery_point  how far it got: recipients_3000 means that 3,000 are written
--   since           when it was begun
--   tries, trouble  how often the completer tried to go on, and why the last try failed. No tries: no
--                   janitor runs, or a client's retry has had the claim ever since
--   claimed_until   when the next try may begin
--
-- What to do: no tries: start `notifyq janitor`. Else mend what `trouble` says; the next try comes by
-- itself, within an hour. `it cannot be read` after a downgrade: upgrade again.

SELECT u.cell, u.notification_id AS notification, k.recovery_point,
       at.instant AS since, u.tries, u.trouble, u.claimed_until
  FROM notifyq.unfinished_key AS u
  LEFT JOIN notifyq.idempotency_key AS k
    ON k.cell = u.cell AND k.tenant_id = u.tenant_id AND k.operation = u.operation
   AND k.key_hash = u.key_hash,
       LATERAL (SELECT to_timestamp(('x' || translate(left(u.notification_id::text, 13), '-', ''))
                                    ::bit(48)::bigint / 1000.0) AS instant) AS at
 WHERE at.instant < now() - interval '1 hour'
 ORDER BY since;

-- Question    Does every key that answered 202 still stand for a live notification?
-- Parameters  none.   psql -f accepted_without_notification.sql
-- Cost        reads every key and every stored answer once, with a look at each one's notification.
--
-- A row: one promise that was given and has nothing behind it.
--   why           no_notification  a finished key whose notification is not there
--                 no_answer_key    a stored answer that no key leads to: nobody can be given it again
--                 no_content       a notification with a delivery on its way, and its text is gone
--   notification  its id
--
-- What to do: a 202 means committed, so no_notification means that rows were deleted by hand or that
-- the database was restored to an older state: restore, and ask the producer for what is missing.
-- no_content: the content's partition was dropped too early; what cannot be sent any more ends as
-- refused_content.

SELECT 'no_notification' AS why, k.cell, k.notification_id AS notification
  FROM notifyq.idempotency_key AS k
 WHERE k.recovery_point = 'finished'
   AND NOT EXISTS (SELECT FROM notifyq.notification AS n
                    WHERE n.cell = k.cell AND n.id = k.notification_id)
UNION ALL
SELECT 'no_answer_key', r.cell, r.notification_id
  FROM notifyq.stored_response AS r
 WHERE NOT EXISTS (SELECT FROM notifyq.idempotency_key AS k
                    WHERE k.cell = r.cell AND k.notification_id = r.notification_id)
UNION ALL
SELECT 'no_content', j.cell, (left(j.delivery_id::text, 32) || '0000')::uuid
  FROM notifyq.job AS j
 WHERE NOT EXISTS (SELECT FROM notifyq.content AS c
                    WHERE c.cell = j.cell AND c.delivery_id = j.delivery_id)
 ORDER BY why, notification;

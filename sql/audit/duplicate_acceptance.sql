-- Question    Was a request accepted twice, or something accepted that no request stands for?
-- Parameters  none.   psql -f duplicate_acceptance.sql
-- Cost        reads idempotency_key once, and the last nine days of notifications and events.
--
-- A row: something that cannot come about if one key is one notification.
--   why           no_key         a notification that no key names; looked for among those of the last
--                                nine days only, the shortest dedupe memory that settings allow
--                 accepted_twice its acceptance was announced more than once
--                 same_person    two of its deliveries go to one address on one channel
--   notification  its id: `notifyq show` takes it
--   detail        how many there are
--
-- What to do: `notifyq show` the notification, ask the provider what it received by the planted
-- reference, and keep the rows. no_key means that keys were deleted by hand. (Several keys may name one
-- notification: that is what a dedupe_key is for.)

WITH recent AS (
    SELECT (lpad(to_hex((extract(epoch FROM now() - interval '9 days') * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid AS oldest
)
SELECT 'no_key' AS why, n.cell, n.id AS notification, 'of tenant ' || n.tenant_id AS detail
  FROM notifyq.notification AS n
 WHERE n.id >= (SELECT oldest FROM recent)
   AND NOT EXISTS (SELECT FROM notifyq.idempotency_key AS k
                    WHERE k.cell = n.cell AND k.notification_id = n.id)
UNION ALL
SELECT 'accepted_twice', o.cell, o.about, count(*) || ' events'
  FROM notifyq.outbox AS o
 WHERE o.kind = 'notification.accepted' AND o.id >= (SELECT oldest FROM recent)
 GROUP BY o.cell, o.about
HAVING count(*) > 1
UNION ALL
-- A delivery's id is its notification's with the last four digits counting up.
SELECT 'same_person', d.cell, (left(d.id::text, 32) || '0000')::uuid, count(*) || ' deliveries'
  FROM notifyq.delivery AS d
 WHERE d.id >= (SELECT oldest FROM recent)
 GROUP BY d.cell, left(d.id::text, 32), d.channel, d.address_key
HAVING count(*) > 1
 ORDER BY why, notification;

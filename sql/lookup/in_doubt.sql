-- Question    Of which deliveries is it not known whether they were carried out?
-- Parameters  none.   psql -f in_doubt.sql
-- Cost        reads every delivery: states are not indexed.
--
-- A row: one such delivery with its attempt, the longest first.
--   state         in_doubt: evidence is still waited for, until window_closes. unknown: none came;
--                 it is never sent again by itself, and late evidence still corrects it
--   since         when it got there
--   code          how the answer was lost; lease_expired: the worker died or hung in mid-send
--   provider_id   if the provider had named it before the answer was lost
--   worker        many rows of one worker at one time: that worker died
--
-- What to do: nothing, while in_doubt. unknown: ask the provider by provider_id, or for messages of
-- that minute to that number.

SELECT d.state::text AS state, d.changed_at AS since, d.id AS delivery, t.name AS tenant,
       l.provider, a.number AS attempt, a.began_at, a.code, a.provider_id, a.epoch, a.worker,
       w.due AS window_closes
  FROM notifyq.delivery AS d
  JOIN notifyq.tenant AS t ON t.cell = d.cell AND t.id = d.tenant_id
  LEFT JOIN notifyq.attempt AS a
    ON a.cell = d.cell AND a.delivery_id = d.id AND a.outcome = 'in_doubt'
  LEFT JOIN notifyq.lane AS l ON l.cell = a.cell AND l.id = a.lane
  LEFT JOIN notifyq.timer AS w
    ON w.cell = d.cell AND w.delivery_id = d.id AND w.kind = 'settle_window'
 WHERE d.state IN ('in_doubt', 'unknown')
 ORDER BY d.changed_at, d.id;

-- Question    Is anything due that must not be sent any more, or never was accepted?
-- Parameters  none.   psql -f job_without_delivery.sql
-- Cost        reads every job, with two look-ups by primary key each.
--
-- A row: one job that should not be there. A job means that its delivery is pending and untried now.
--   why    no_delivery    its delivery does not exist
--          not_pending    its delivery is at rest, or in doubt
--          live_attempt   an attempt is open, in doubt or accepted; begin is refused beside it
--          other_channel  its delivery goes by another channel
--   state  the delivery's, if there is one
--
-- What to do: no row can be sent twice by this (one_live_attempt refuses), but it is a bug: keep the
-- rows and report them. no_delivery after a restore: the leaves were restored at different times.

SELECT CASE WHEN d.id IS NULL THEN 'no_delivery'
            WHEN d.state <> 'pending' THEN 'not_pending'
            WHEN d.channel <> j.channel THEN 'other_channel'
            ELSE 'live_attempt' END AS why,
       j.cell, j.delivery_id AS delivery, j.channel::text AS channel, j.due, d.state::text AS state,
       live.number AS live_attempt, live.outcome::text AS outcome
  FROM notifyq.job AS j
  LEFT JOIN notifyq.delivery AS d ON d.cell = j.cell AND d.id = j.delivery_id
  LEFT JOIN LATERAL (SELECT a.number, a.outcome
                       FROM notifyq.attempt AS a
                      WHERE a.cell = j.cell AND a.delivery_id = j.delivery_id
                        AND a.outcome IN ('open', 'in_doubt', 'accepted')
                      LIMIT 1) AS live ON true
 WHERE d.id IS NULL OR d.state <> 'pending' OR d.channel <> j.channel OR live.number IS NOT NULL
 ORDER BY j.due;

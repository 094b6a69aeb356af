-- Question    How is each lane doing: what waits, what is on its way, how did the last hour end?
-- Parameters  none.   psql -f lane_health.sql
-- Cost        reads every job, and the attempts once.
--
-- A row: one lane, which is one channel of one provider account.
--   due, oldest_due   jobs that could be sent now, and since when the oldest could
--   later             jobs that wait for their time: retries, and what was asked for later
--   open              attempts on their way now
--   in_doubt          attempts of which no answer came, not settled yet or for good
--   accepted_1h, refused_1h, throttled_1h, unavailable_1h, other_1h   of the attempts begun in the
--                     last hour; bounced counts as accepted: the provider took it
--   last_accepted     when the provider last took something
--   workers           seen on this channel within 15 s
--
-- What to do: due grows with workers = 0: start `notifyq worker`. unavailable or in_doubt grow: the
-- provider is down, look at its status page. throttled: it wants fewer; lower max_in_flight. refused
-- alone is about addresses and content. A lane with jobs whose provider is gone from the settings is
-- served by nobody: put the provider back.

SELECT l.channel::text AS channel, l.provider, coalesce(j.due, 0) AS due, j.oldest_due,
       coalesce(j.later, 0) AS later, coalesce(a.open, 0) AS open,
       coalesce(a.in_doubt, 0) AS in_doubt, coalesce(a.accepted_1h, 0) AS accepted_1h,
       coalesce(a.refused_1h, 0) AS refused_1h, coalesce(a.throttled_1h, 0) AS throttled_1h,
       coalesce(a.unavailable_1h, 0) AS unavailable_1h, coalesce(a.other_1h, 0) AS other_1h,
       a.last_accepted, w.workers
  FROM notifyq.lane AS l
  LEFT JOIN (SELECT cell, lane, count(*) FILTER (WHERE due <= now()) AS due,
                    min(due) FILTER (WHERE due <= now()) AS oldest_due,
                    count(*) FILTER (WHERE due > now()) AS later
               FROM notifyq.job
              GROUP BY cell, lane) AS j ON j.cell = l.cell AND j.lane = l.id
  LEFT JOIN (SELECT cell, lane, count(*) FILTER (WHERE outcome = 'open') AS open,
                    count(*) FILTER (WHERE outcome = 'in_doubt') AS in_doubt,
                    count(*) FILTER (WHERE recent AND outcome IN ('accepted', 'bounced'))
                        AS accepted_1h,
                    count(*) FILTER (WHERE recent AND outcome = 'refused') AS refused_1h,
                    count(*) FILTER (WHERE recent AND outcome = 'throttled') AS throttled_1h,
                    count(*) FILTER (WHERE recent AND outcome = 'unavailable') AS unavailable_1h,
                    count(*) FILTER (WHERE recent AND outcome IN
                                     ('not_sent', 'misconfigured', 'abandoned')) AS other_1h,
                    max(ended_at) FILTER (WHERE outcome IN ('accepted', 'bounced'))
                        AS last_accepted
               FROM (SELECT *, began_at > now() - interval '1 hour' AS recent
                       FROM notifyq.attempt) AS tried
              GROUP BY cell, lane) AS a ON a.cell = l.cell AND a.lane = l.id
  LEFT JOIN LATERAL (SELECT count(*) AS workers
                       FROM notifyq.worker AS w
                      WHERE w.cell = l.cell AND w.channel = l.channel
                        AND w.seen_at > now() - interval '15 seconds') AS w ON true
 ORDER BY l.cell, l.channel, l.provider;

-- Question    Does any delivery stand where its attempts cannot have brought it?
-- Parameters  none.   psql -f illegal_history.sql
-- Cost        reads every delivery and every attempt once.
--
-- A row: one delivery whose rows tell a history that the transition tables do not allow.
--   why  no_acceptance    sent or delivered, and no attempt was carried out
--        no_bounce        undelivered, and no attempt bounced
--        no_doubt         in doubt, and no attempt is in doubt
--        carried_out      expired, suppressed, canceled or dead, and an attempt was carried out or
--                         may have been; one that was abandoned may have been
--        due_beside_live  pending with a job, and an attempt was carried out or may have been
--        gap              attempts that are not numbered 1, 2, 3 ...
--        overlap          an attempt began before the one before it had ended
--        abandoned        an attempt was given up while in doubt, and its category is never_twice
--   state, reason, numbers, outcomes  of the delivery and its attempts, in order
--
-- What to do: rows are changed only by notifyq, so each is a bug, or somebody wrote by hand. Keep the
-- rows; `notifyq show` the delivery; ask the provider what it has before anything is sent again.

WITH tried AS (
    SELECT a.cell, a.delivery_id,
           array_agg(a.number ORDER BY a.number) AS numbers,
           array_agg(a.outcome::text ORDER BY a.number) AS outcomes,
           bool_or(a.outcome = 'accepted' OR a.late_at IS NOT NULL) AS carried_out,
           bool_or(a.outcome IN ('open', 'in_doubt')) AS doubtful,
           bool_or(a.outcome = 'in_doubt') AS in_doubt,
           bool_or(a.outcome = 'bounced' OR a.late_at IS NOT NULL) AS bounced,
           bool_or(a.outcome = 'abandoned') AS abandoned,
           bool_or(a.outcome = 'abandoned' AND a.late_at IS NULL) AS unproven,
           bool_or(a.overlaps) AS overlaps
      FROM (SELECT t.*, t.began_at < lag(t.ended_at) OVER (
                       PARTITION BY t.cell, t.delivery_id ORDER BY t.number) AS overlaps
              FROM notifyq.attempt AS t) AS a
     GROUP BY a.cell, a.delivery_id
), told AS (
    SELECT d.cell, d.id, d.state::text AS state, d.reason, d.resend_after_s, t.numbers,
           t.outcomes, coalesce(t.carried_out, false) AS carried_out,
           coalesce(t.doubtful, false) AS doubtful, coalesce(t.in_doubt, false) AS in_doubt,
           coalesce(t.bounced, false) AS bounced, coalesce(t.abandoned, false) AS abandoned,
           coalesce(t.unproven, false) AS unproven, coalesce(t.overlaps, false) AS overlaps,
           EXISTS (SELECT FROM notifyq.job AS j
                    WHERE j.cell = d.cell AND j.delivery_id = d.id) AS due
      FROM notifyq.delivery AS d
      LEFT JOIN tried AS t ON t.cell = d.cell AND t.delivery_id = d.id
)
SELECT w.why, x.cell, x.id AS delivery, x.state, x.reason, x.numbers, x.outcomes
  FROM told AS x,
       LATERAL (VALUES
           ('no_acceptance', x.state IN ('sent', 'delivered') AND NOT x.carried_out),
           ('no_bounce', x.state = 'undelivered' AND NOT x.bounced),
           ('no_doubt', x.state = 'in_doubt' AND NOT x.in_doubt),
           ('carried_out', x.state IN ('expired', 'suppressed', 'canceled', 'dead')
                           AND ('accepted' = ANY (x.outcomes) OR x.doubtful OR x.unproven)),
           ('due_beside_live', x.state = 'pending' AND x.due
                               AND ('accepted' = ANY (x.outcomes) OR x.doubtful)),
           ('gap', x.numbers[cardinality(x.numbers)] <> cardinality(x.numbers)),
           ('overlap', x.overlaps),
           ('abandoned', x.abandoned AND x.resend_after_s IS NULL)) AS w (why, so)
 WHERE w.so
 ORDER BY x.cell, x.id, w.why;

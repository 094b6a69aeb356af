-- Question    Which deliveries were carried out more than once?
-- Parameters  none.   psql -f repeats.sql
-- Cost        reads the attempts that are not the first of their delivery, and their deliveries.
--
-- A row: one delivery with more than one attempt that a provider took, the newest first.
--   rule        never_twice: the recipient should have been told once. at_least_once: the category
--               asks for a repeat where an answer is lost
--   redriven    somebody made it due again after the provider had said that it did not arrive; of a
--               vendor's daily cap (code 30023) that is said too, and the next day makes it due again
--   arrived     attempts that the provider took and did not take back: 2 or more of never_twice, and
--               the recipient was told twice
--   numbers, outcomes, late, codes, provider_ids   of these attempts, in order; late: when evidence
--               came for one that was closed as not carried out
--
-- What to do: never_twice with arrived of 2 or more: the provider, or the person who resolved a doubt
-- as not carried out, said a "no" that was none. `notifyq show` the delivery, ask the provider about
-- both provider_ids, and report the code of the one that is late. The others are as asked for.

SELECT CASE WHEN d.resend_after_s IS NULL THEN 'never_twice' ELSE 'at_least_once' END AS rule,
       d.id AS delivery, t.name AS tenant, d.state::text AS state,
       EXISTS (SELECT FROM notifyq.intervention AS i
                WHERE i.cell = d.cell AND i.delivery_id = d.id
                  AND i.kind IN ('redrive', 'redrive_past_dedupe')) AS redriven,
       a.arrived, a.numbers, a.outcomes, a.late, a.codes, a.provider_ids
  FROM (SELECT DISTINCT n.cell, n.delivery_id
          FROM notifyq.attempt AS n
         WHERE n.number > 1) AS again
  JOIN notifyq.delivery AS d ON d.cell = again.cell AND d.id = again.delivery_id
  JOIN notifyq.tenant AS t ON t.cell = d.cell AND t.id = d.tenant_id
  JOIN LATERAL (SELECT count(*) AS took,
                       count(*) FILTER (WHERE outcome = 'accepted' OR late_at IS NOT NULL)
                           AS arrived,
                       array_agg(number ORDER BY number) AS numbers,
                       array_agg(outcome::text ORDER BY number) AS outcomes,
                       array_agg(late_at ORDER BY number) AS late,
                       array_agg(code ORDER BY number) AS codes,
                       array_agg(provider_id ORDER BY number) AS provider_ids
                  FROM notifyq.attempt
                 WHERE cell = d.cell AND delivery_id = d.id
                   AND (outcome IN ('accepted', 'bounced') OR late_at IS NOT NULL)) AS a
    ON a.took > 1
 ORDER BY d.id DESC;

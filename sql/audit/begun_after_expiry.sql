-- Question    Was anything begun when it was no longer worth sending?
-- Parameters  none.   psql -f begun_after_expiry.sql
-- Cost        reads every attempt once, with its delivery.
--
-- A row: one attempt that began at or after its delivery's expires_at. Both are the database's own
-- times: the decision and began_at are of one transaction, so there is no tolerance.
--   late     by how much
--   outcome  not_sent: it began, but we know that it never left
--
-- What it cannot prove: that a message which began in time also left in time. A send ends before
-- send_by, and the provider is told how long the message is good for.
--
-- What to do: a bug, for the claim decides by the same time that it stamps. Keep the rows, report them.

SELECT a.cell, a.delivery_id AS delivery, a.number, d.expires_at, a.began_at,
       a.began_at - d.expires_at AS late, a.outcome::text AS outcome, a.worker
  FROM notifyq.attempt AS a
  JOIN notifyq.delivery AS d ON d.cell = a.cell AND d.id = a.delivery_id
 WHERE a.began_at >= d.expires_at
 ORDER BY a.began_at;

-- Question    Does any consent row say something else than the last word in the ledger?
-- Parameters  none.   psql -f consent_row_differs.sql
-- Cost        reads every consent row and every consent event once.
--
-- The row is what sends obey; the ledger is why. Each event keeps what stood after it, and is written
-- in the transaction that changes the row and raises its revision: the event of the row's revision
-- says what the row says.
--
-- A row: one consent row that does not.
--   why   blocked       the row is blocked and the event says that it is not, or the other way round
--         programs      other programs are blocked than the event says
--         no_event      the row is not as a new one is, and no event of its revision says why
--         newer_event   the ledger goes on after the revision of the row
--         no_row        there are events, and no row: nothing is blocked by them
--   row_revision, event_revision, row_blocked, event_blocked, row_programs, event_programs   both sides
--
-- What to do: row_blocked false against event_blocked true: somebody who said stop can be reached.
-- Block them by `notifyq optout add`, then find who changed the row: notifyq never changes it alone.
-- After a restore: the two tables are of different times.

SELECT CASE WHEN c.revision IS NULL THEN 'no_row'
            WHEN e.revision IS NULL THEN 'no_event'
            WHEN e.revision > c.revision THEN 'newer_event'
            WHEN e.revision < c.revision THEN 'no_event'
            WHEN e.blocked <> c.blocked THEN 'blocked'
            ELSE 'programs' END AS why,
       coalesce(c.cell, e.cell) AS cell, coalesce(c.brand, e.brand) AS brand,
       coalesce(c.channel, e.channel)::text AS channel,
       encode(coalesce(c.address_key, e.address_key), 'hex') AS address_key,
       c.revision AS row_revision, e.revision AS event_revision, c.blocked AS row_blocked,
       e.blocked AS event_blocked, c.programs AS row_programs, e.programs AS event_programs
  FROM notifyq.consent AS c
  FULL JOIN (SELECT DISTINCT ON (cell, brand, channel, address_key) *
               FROM notifyq.consent_event
              ORDER BY cell, brand, channel, address_key, revision DESC) AS e
    ON e.cell = c.cell AND e.brand = c.brand AND e.channel = c.channel
   AND e.address_key = c.address_key
 WHERE c.revision IS NULL
    OR (e.revision IS NULL AND (c.revision > 0 OR c.blocked OR c.programs <> '{}'))
    OR e.revision <> c.revision OR e.blocked <> c.blocked OR e.programs <> c.programs
 ORDER BY why, brand, address_key;

-- Question    Which texts wait for a person to read them?
-- Parameters  none.   psql -f unread_texts.sql
-- Cost        reads every consent row, and the events of those that wait.
--
-- A row: one text that is neither clearly an opt-out nor clearly none, the oldest first. Until somebody
-- has said what it was, no marketing goes to who wrote it.
--   id            `notifyq consent review resolve` takes it
--   written_at    by the provider's clock, where it says so
--   waits         since then
--   our_number    what it was sent to
--   rule, text    why it was held, and what it says
--   provider, provider_id   what the provider calls it; notifyq.inbound has the number that wrote it
-- No row: nothing waits.
--
-- What to do: read it, as the person who wrote it would be understood. They want no more:
-- `notifyq consent review resolve ID --as opt-out`. They meant something else: `--as release`.

SELECT e.id, e.brand, e.channel::text AS channel, e.program, e.happened_at AS written_at,
       date_trunc('second', now() - e.happened_at) AS waits,
       e.evidence::json ->> 'to' AS our_number, e.evidence::json ->> 'rule' AS rule,
       e.evidence::json ->> 'text' AS text, e.evidence::json ->> 'provider' AS provider,
       e.evidence::json ->> 'provider_id' AS provider_id
  FROM notifyq.consent AS c
  JOIN notifyq.consent_event AS e
    ON e.cell = c.cell AND e.brand = c.brand AND e.channel = c.channel
   AND e.address_key = c.address_key
 WHERE c.held AND e.kind = 'hold'
   AND NOT EXISTS (SELECT FROM notifyq.consent_event AS answer
                    WHERE answer.cell = e.cell AND answer.brand = e.brand
                      AND answer.channel = e.channel AND answer.address_key = e.address_key
                      AND answer.kind IN ('release', 'opt_out', 'lift')
                      AND answer.program IS NOT DISTINCT FROM e.program
                      AND answer.happened_at >= e.happened_at)
 ORDER BY e.happened_at;

-- Question    How many addresses are blocked, for whom, and by which way did we learn of it?
-- Parameters  none.   psql -f suppressions_by_source.sql
-- Cost        reads every consent event, with a look-up for each opt-out.
--
-- A row: one brand, channel, program and source, with the opt-outs of it that stand.
--   brand         with :test behind it: test sends alone
--   program       empty: the whole brand, but for programs that stand apart
--   source        sms: they wrote to our number. email: one-click unsubscribe, or a complaint. web: the
--                 producer was told. provider: it refuses the address. operator, import, merge: by hand
--   kind          opt_out, or reassigned: the number is somebody else's by now
--   addresses     how many; one that opted out by two ways is counted by both
--   last_day      of these, the ones of the last 24 hours
--   first, last   when the oldest and the newest happened
-- No row: nobody is blocked.
--
-- What to do: provider without an sms beside it: inbound STOPs are lost, check the numbers' webhooks.
-- A jump of last_day: look at what was sent that day.

SELECT e.brand, e.channel::text AS channel, e.program, e.source, e.kind,
       count(DISTINCT e.address_key) AS addresses,
       count(DISTINCT e.address_key) FILTER (WHERE e.happened_at > now() - interval '24 hours')
           AS last_day,
       min(e.happened_at) AS first, max(e.happened_at) AS last
  FROM notifyq.consent_event AS e
 WHERE e.kind IN ('opt_out', 'reassigned')
   AND NOT EXISTS (SELECT FROM notifyq.consent_event AS l
                    WHERE l.cell = e.cell AND l.brand = e.brand AND l.channel = e.channel
                      AND l.address_key = e.address_key AND l.kind = 'lift'
                      AND l.program IS NOT DISTINCT FROM e.program
                      AND l.happened_at > e.happened_at + interval '5 seconds'
                      AND CASE WHEN l.source = 'sms' THEN e.kind <> 'reassigned'
                               ELSE e.source <> 'provider' END)
 GROUP BY e.brand, e.channel, e.program, e.source, e.kind
 ORDER BY e.brand, e.channel, e.program NULLS FIRST, e.source, e.kind;

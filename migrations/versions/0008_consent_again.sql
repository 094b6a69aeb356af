-- Consent, again. Added only, and a right taken that no version uses: what runs the version before
-- goes on beside it.

SET LOCAL lock_timeout = '3s';

-- Whether the address is the one that was kept of the recipient: with the recipient it is erased.
-- Of what was accepted before, nobody knows; it goes out by its own terms, as it did.
ALTER TABLE notifyq.delivery ADD COLUMN is_by_id boolean NOT NULL DEFAULT false;
-- When a recipient was erased last: whoever is kept under the id since is not whom that reached.
ALTER TABLE notifyq.recipient ADD COLUMN erased_at timestamptz;

-- A consent row says whom not to write to: an address without one is an address that has never
-- objected. So nobody but the owner deletes them, nor the ledger behind them.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT c.oid::regclass AS name,
               CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END AS role
          FROM pg_class AS c, aclexplode(c.relacl) AS g
         WHERE c.oid IN ('notifyq.consent'::regclass, 'notifyq.consent_event'::regclass)
           AND g.privilege_type IN ('DELETE', 'TRUNCATE') AND g.grantee <> c.relowner
         GROUP BY 1, 2
    LOOP
        EXECUTE format('REVOKE DELETE, TRUNCATE ON %s FROM %s', given.name, given.role);
    END LOOP;
END
$$;

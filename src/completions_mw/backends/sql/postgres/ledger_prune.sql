DELETE FROM completions_mw.entries
WHERE request_id IN (
    SELECT request_id
    FROM completions_mw.entries
    WHERE started_ms < %(before_ms)s AND state <> 'reserved'
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
)
RETURNING 1;

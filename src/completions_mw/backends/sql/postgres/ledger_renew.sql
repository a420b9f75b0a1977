-- What it returns is as it was before.
WITH renewed AS (
    UPDATE completions_mw.entries
    SET expires_at = clock_timestamp() + %(ttl_ms)s * interval '1 millisecond'
    WHERE request_id = ANY(%(request_ids)s::text[]) AND state = 'reserved'
)
SELECT request_id, state FROM completions_mw.entries WHERE request_id = ANY(%(request_ids)s::text[]);

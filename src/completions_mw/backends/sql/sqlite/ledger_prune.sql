DELETE FROM entries
WHERE request_id IN (SELECT request_id FROM entries WHERE started_ms < :before_ms AND state <> 'reserved' LIMIT :batch);

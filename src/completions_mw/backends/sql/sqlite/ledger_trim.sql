DELETE FROM entries
WHERE state <> 'reserved'
  AND (
      started_ms < :before_ms
      OR request_id IN (SELECT request_id FROM entries ORDER BY started_ms DESC LIMIT -1 OFFSET :kept)
  );

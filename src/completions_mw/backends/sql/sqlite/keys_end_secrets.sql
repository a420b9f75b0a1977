UPDATE secrets
SET expires_at = min(ifnull(expires_at, :until), :until)
WHERE key_id = :id;

UPDATE completions_mw.secrets
SET expires_at = LEAST(expires_at, %(until)s)
WHERE key_id = %(id)s;

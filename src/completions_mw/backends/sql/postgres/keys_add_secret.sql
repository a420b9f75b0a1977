-- Adds nothing where there is no such key.
INSERT INTO completions_mw.secrets (digest, public_id, key_id, expires_at, created_at)
SELECT %(digest)s::bytea, %(public_id)s::text, id, %(expires_at)s::double precision, %(created_at)s::double precision
FROM completions_mw.keys
WHERE id = %(key_id)s
RETURNING key_id;

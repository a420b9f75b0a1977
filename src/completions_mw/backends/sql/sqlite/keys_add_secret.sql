-- Adds nothing where there is no such key.
INSERT INTO secrets (digest, public_id, key_id, expires_at, created_at)
SELECT :digest, :public_id, id, :expires_at, :created_at
FROM keys
WHERE id = :key_id
RETURNING key_id;

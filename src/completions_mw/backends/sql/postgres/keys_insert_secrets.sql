-- The digests of the secrets, a JSON list, stand one after the other. Times are in microseconds.
INSERT INTO completions_mw.secrets (digest, public_id, key_id, expires_at, created_at)
SELECT substr(%(digests)s::bytea, (number::integer - 1) * 32 + 1, 32),
       secret ->> 'public_id',
       secret ->> 'key_id',
       (secret ->> 'expires_at')::double precision / 1000000,
       (secret ->> 'created_at')::double precision / 1000000
FROM json_array_elements(%(secrets)s::json) WITH ORDINALITY AS new (secret, number);

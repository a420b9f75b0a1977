-- :digests holds those of :secrets, a JSON list, one after the other. Times are in microseconds.
INSERT INTO secrets (digest, public_id, key_id, expires_at, created_at)
SELECT substr(:digests, key * 32 + 1, 32),
       json_extract(value, '$.public_id'),
       json_extract(value, '$.key_id'),
       json_extract(value, '$.expires_at') / 1000000.0,
       json_extract(value, '$.created_at') / 1000000.0
FROM json_each(:secrets);

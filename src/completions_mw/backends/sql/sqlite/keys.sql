-- API keys and their secrets.

-- name: keys_find
-- :digests holds the digests one after the other, and :positions, a JSON list, is 0, 1, and so on.
SELECT wanted.value, k.id, k.name, k.tenant,
       k.models, k.limits, k.budget, k.max_cost, k.metadata,
       k.disabled, k.expires_at, k.created_at,
       (SELECT json_group_array(public_id)
        FROM (SELECT public_id FROM secrets WHERE key_id = k.id ORDER BY created_at DESC, public_id)),
       s.public_id, s.expires_at, s.created_at
FROM json_each(:positions) AS wanted
JOIN secrets s ON s.digest = substr(:digests, wanted.value * 32 + 1, 32)
JOIN keys k ON k.id = s.key_id;

-- name: keys_get
SELECT k.id, k.name, k.tenant,
       k.models, k.limits, k.budget, k.max_cost, k.metadata,
       k.disabled, k.expires_at, k.created_at,
       (SELECT json_group_array(public_id)
        FROM (SELECT public_id FROM secrets WHERE key_id = k.id ORDER BY created_at DESC, public_id))
FROM keys k
WHERE k.id = :id
   OR k.id = (SELECT key_id FROM secrets WHERE public_id = :id);

-- name: keys_list
SELECT k.id, k.name, k.tenant,
       k.models, k.limits, k.budget, k.max_cost, k.metadata,
       k.disabled, k.expires_at, k.created_at,
       (SELECT json_group_array(public_id)
        FROM (SELECT public_id FROM secrets WHERE key_id = k.id ORDER BY created_at DESC, public_id))
FROM keys k
WHERE :tenant IS NULL OR k.tenant = :tenant
ORDER BY k.created_at, k.id;

-- name: keys_insert
-- :keys is a JSON list, so that any number of them is one statement; what is JSON in a column is text there. Times are in microseconds.
INSERT INTO keys (id, name, tenant, models, limits, budget, max_cost, metadata, disabled, expires_at, created_at)
SELECT json_extract(value, '$.id'),
       json_extract(value, '$.name'),
       json_extract(value, '$.tenant'),
       json_extract(value, '$.models'),
       json_extract(value, '$.limits'),
       json_extract(value, '$.budget'),
       json_extract(value, '$.max_cost'),
       json_extract(value, '$.metadata'),
       json_extract(value, '$.disabled'),
       json_extract(value, '$.expires_at') / 1000000.0,
       json_extract(value, '$.created_at') / 1000000.0
FROM json_each(:keys);

-- name: keys_insert_secrets
-- :digests holds those of :secrets, a JSON list, one after the other. Times are in microseconds.
INSERT INTO secrets (digest, public_id, key_id, expires_at, created_at)
SELECT substr(:digests, key * 32 + 1, 32),
       json_extract(value, '$.public_id'),
       json_extract(value, '$.key_id'),
       json_extract(value, '$.expires_at') / 1000000.0,
       json_extract(value, '$.created_at') / 1000000.0
FROM json_each(:secrets);

-- name: keys_change
-- Only if the key is as it was read.
UPDATE keys
SET name = :name,
    tenant = :tenant,
    models = :models,
    limits = :limits,
    budget = :budget,
    max_cost = :max_cost,
    metadata = :metadata,
    disabled = :disabled,
    expires_at = :expires_at
WHERE id = :id
  AND name IS :old_name
  AND tenant IS :old_tenant
  AND models IS :old_models
  AND limits IS :old_limits
  AND budget IS :old_budget
  AND max_cost IS :old_max_cost
  AND metadata IS :old_metadata
  AND disabled IS :old_disabled
  AND expires_at IS :old_expires_at
RETURNING id;

-- name: keys_lock
-- There is one writer at a time as it is; PostgreSQL locks the key here.
SELECT id FROM keys WHERE id = :id;

-- name: keys_end_secrets
UPDATE secrets
SET expires_at = min(ifnull(expires_at, :until), :until)
WHERE key_id = :id;

-- name: keys_add_secret
-- Adds nothing where there is no such key.
INSERT INTO secrets (digest, public_id, key_id, expires_at, created_at)
SELECT :digest, :public_id, id, :expires_at, :created_at
FROM keys
WHERE id = :key_id
RETURNING key_id;

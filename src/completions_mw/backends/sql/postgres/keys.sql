-- API keys and their secrets.

-- name: keys_find
-- The digests stand one after the other, and the positions, a JSON list, are 0, 1, and so on.
SELECT wanted.at, k.id, k.name, k.tenant,
       k.models::text, k.limits::text, k.budget::text, k.max_cost, k.metadata::text,
       k.disabled, k.expires_at, k.created_at,
       (SELECT json_agg(o.public_id ORDER BY o.created_at DESC, o.public_id)::text FROM completions_mw.secrets o WHERE o.key_id = k.id),
       s.public_id, s.expires_at, s.created_at
FROM (SELECT value::integer AS at FROM json_array_elements_text(%(positions)s::json)) AS wanted
JOIN completions_mw.secrets s ON s.digest = substr(%(digests)s::bytea, wanted.at * 32 + 1, 32)
JOIN completions_mw.keys k ON k.id = s.key_id;

-- name: keys_get
SELECT k.id, k.name, k.tenant,
       k.models::text, k.limits::text, k.budget::text, k.max_cost, k.metadata::text,
       k.disabled, k.expires_at, k.created_at,
       (SELECT json_agg(o.public_id ORDER BY o.created_at DESC, o.public_id)::text FROM completions_mw.secrets o WHERE o.key_id = k.id)
FROM completions_mw.keys k
WHERE k.id = %(id)s
   OR k.id = (SELECT key_id FROM completions_mw.secrets WHERE public_id = %(id)s);

-- name: keys_list
SELECT k.id, k.name, k.tenant,
       k.models::text, k.limits::text, k.budget::text, k.max_cost, k.metadata::text,
       k.disabled, k.expires_at, k.created_at,
       (SELECT json_agg(o.public_id ORDER BY o.created_at DESC, o.public_id)::text FROM completions_mw.secrets o WHERE o.key_id = k.id)
FROM completions_mw.keys k
WHERE %(tenant)s::text IS NULL OR k.tenant = %(tenant)s::text
ORDER BY k.created_at, k.id;

-- name: keys_insert
-- The parameter is a JSON list, so that any number of them is one statement; what is JSON in a column is text there. Times are in microseconds.
INSERT INTO completions_mw.keys (id, name, tenant, models, limits, budget, max_cost, metadata, disabled, expires_at, created_at)
SELECT id, name, tenant, models::json, limits::json, budget::json, max_cost, metadata::json, disabled,
       expires_at / 1000000,
       created_at / 1000000
FROM json_to_recordset(%(keys)s::json) AS new (
    id text, name text, tenant text, models text, limits text, budget text, max_cost text, metadata text, disabled boolean,
    expires_at double precision, created_at double precision
);

-- name: keys_insert_secrets
-- The digests of the secrets, a JSON list, stand one after the other. Times are in microseconds.
INSERT INTO completions_mw.secrets (digest, public_id, key_id, expires_at, created_at)
SELECT substr(%(digests)s::bytea, (number::integer - 1) * 32 + 1, 32),
       secret ->> 'public_id',
       secret ->> 'key_id',
       (secret ->> 'expires_at')::double precision / 1000000,
       (secret ->> 'created_at')::double precision / 1000000
FROM json_array_elements(%(secrets)s::json) WITH ORDINALITY AS new (secret, number);

-- name: keys_change
-- Only if the key is as it was read.
UPDATE completions_mw.keys
SET name = %(name)s,
    tenant = %(tenant)s,
    models = %(models)s::json,
    limits = %(limits)s::json,
    budget = %(budget)s::json,
    max_cost = %(max_cost)s,
    metadata = %(metadata)s::json,
    disabled = %(disabled)s,
    expires_at = %(expires_at)s
WHERE id = %(id)s
  AND name IS NOT DISTINCT FROM %(old_name)s
  AND tenant IS NOT DISTINCT FROM %(old_tenant)s
  AND models::text IS NOT DISTINCT FROM %(old_models)s
  AND limits::text IS NOT DISTINCT FROM %(old_limits)s
  AND budget::text IS NOT DISTINCT FROM %(old_budget)s
  AND max_cost IS NOT DISTINCT FROM %(old_max_cost)s
  AND metadata::text IS NOT DISTINCT FROM %(old_metadata)s
  AND disabled IS NOT DISTINCT FROM %(old_disabled)s
  AND expires_at IS NOT DISTINCT FROM %(old_expires_at)s
RETURNING id;

-- name: keys_lock
-- Rotations of a key take turns: each ends the secrets of those before it.
SELECT id FROM completions_mw.keys WHERE id = %(id)s FOR UPDATE;

-- name: keys_end_secrets
UPDATE completions_mw.secrets
SET expires_at = LEAST(expires_at, %(until)s)
WHERE key_id = %(id)s;

-- name: keys_add_secret
-- Adds nothing where there is no such key.
INSERT INTO completions_mw.secrets (digest, public_id, key_id, expires_at, created_at)
SELECT %(digest)s::bytea, %(public_id)s::text, id, %(expires_at)s::double precision, %(created_at)s::double precision
FROM completions_mw.keys
WHERE id = %(key_id)s
RETURNING key_id;

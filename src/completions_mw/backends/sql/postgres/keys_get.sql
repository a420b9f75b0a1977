SELECT k.id, k.name, k.tenant,
       k.models::text, k.limits::text, k.budget::text, k.max_cost, k.metadata::text,
       k.disabled, k.expires_at, k.created_at,
       (SELECT json_agg(o.public_id ORDER BY o.created_at DESC, o.public_id)::text FROM completions_mw.secrets o WHERE o.key_id = k.id)
FROM completions_mw.keys k
WHERE k.id = %(id)s
   OR k.id = (SELECT key_id FROM completions_mw.secrets WHERE public_id = %(id)s);

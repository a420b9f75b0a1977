SELECT k.id, k.name, k.tenant,
       k.models, k.limits, k.budget, k.max_cost, k.metadata,
       k.disabled, k.expires_at, k.created_at,
       (SELECT json_group_array(public_id)
        FROM (SELECT public_id FROM secrets WHERE key_id = k.id ORDER BY created_at DESC, public_id))
FROM keys k
WHERE :tenant IS NULL OR k.tenant = :tenant
ORDER BY k.created_at, k.id;

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

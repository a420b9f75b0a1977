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

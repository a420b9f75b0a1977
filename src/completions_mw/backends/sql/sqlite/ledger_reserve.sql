INSERT INTO entries (request_id, scope, key, tenant, model, stream, started_ms, state, budget, other_budget, reserved, expires_ms)
VALUES (:request_id, :scope, :key, :tenant, :model, :stream, :started_ms, 'reserved', :budget, :other_budget, :amount, :expires_ms);

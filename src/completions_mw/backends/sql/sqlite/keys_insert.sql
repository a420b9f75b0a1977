INSERT INTO keys (id, name, tenant, models, limits, budget, max_cost, metadata, disabled, expires_at, created_at)
VALUES (:id, :name, :tenant, :models, :limits, :budget, :max_cost, :metadata,
        :disabled, :expires_at, :created_at);

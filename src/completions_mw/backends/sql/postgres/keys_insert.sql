INSERT INTO completions_mw.keys (id, name, tenant, models, limits, budget, max_cost, metadata, disabled, expires_at, created_at)
VALUES (%(id)s, %(name)s, %(tenant)s, %(models)s::json, %(limits)s::json, %(budget)s::json, %(max_cost)s, %(metadata)s::json,
        %(disabled)s, %(expires_at)s, %(created_at)s);

SELECT scope, name, period, "limit", spent, reserved
FROM completions_mw.budgets
WHERE scope = %(scope)s AND name = %(name)s
ORDER BY period DESC;

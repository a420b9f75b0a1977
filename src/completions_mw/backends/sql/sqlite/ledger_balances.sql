SELECT scope, name, period, "limit", spent, reserved
FROM budgets
WHERE scope = :scope AND name = :name
ORDER BY period DESC;

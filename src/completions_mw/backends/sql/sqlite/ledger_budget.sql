SELECT id, scope, name, period, "limit", spent, reserved, told, refused
FROM budgets
WHERE scope = :scope AND name = :name AND period = :period;

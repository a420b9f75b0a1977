SELECT id, scope, name, period, "limit", spent, reserved, told, refused FROM budgets WHERE id = :id;

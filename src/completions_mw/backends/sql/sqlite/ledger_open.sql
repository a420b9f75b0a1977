INSERT INTO budgets (scope, name, period, "limit") VALUES (:scope, :name, :period, :limit);

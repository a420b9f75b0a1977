UPDATE budgets SET "limit" = :limit, told = :told, refused = 0 WHERE id = :id;

UPDATE budgets SET refused = 1 WHERE id = :id AND NOT refused;

UPDATE budgets SET told = :told WHERE id = :id;

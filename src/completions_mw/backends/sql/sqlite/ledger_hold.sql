UPDATE budgets SET reserved = reserved + :amount WHERE id = :id;

UPDATE budgets SET spent = :spent, reserved = :reserved WHERE id = :id;

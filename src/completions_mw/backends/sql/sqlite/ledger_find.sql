SELECT state, reserved, amount, budget, other_budget FROM entries WHERE request_id = :request_id;

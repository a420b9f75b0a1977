SELECT request_id, reserved, amount, budget, other_budget FROM entries WHERE state = 'reserved' AND expires_ms <= :now;

UPDATE entries SET expires_ms = :expires_ms WHERE request_id = :request_id AND state = 'reserved';

UPDATE entries SET state = 'reserved', expires_ms = :expires_ms WHERE request_id = :request_id;

UPDATE entries SET state = 'reaped' WHERE request_id = :request_id;

UPDATE entries
SET state = 'settled',
    amount = :cost,
    adjustment = :adjustment,
    prompt_tokens = :prompt,
    completion_tokens = :completion,
    cached_tokens = :cached,
    reasoning_tokens = :reasoning,
    estimated = :estimated,
    target = :target,
    status = :status,
    code = :code,
    finish_reason = :finish_reason,
    first_ms = :first_ms,
    total_ms = :total_ms
WHERE request_id = :request_id;

INSERT INTO entries (
    request_id, scope, key, tenant, model, stream, started_ms, state, amount,
    prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, estimated,
    target, status, code, finish_reason, first_ms, total_ms
)
VALUES (
    :request_id, :scope, :key, :tenant, :model, :stream, :started_ms, 'settled', :cost,
    :prompt, :completion, :cached, :reasoning, :estimated,
    :target, :status, :code, :finish_reason, :first_ms, :total_ms
);

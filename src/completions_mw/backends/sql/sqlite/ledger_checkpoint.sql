-- One that comes late must not undo a later one.
UPDATE entries
SET amount = :amount,
    prompt_tokens = :prompt,
    completion_tokens = :completion,
    cached_tokens = :cached,
    reasoning_tokens = :reasoning
WHERE request_id = :request_id AND state = 'reserved' AND amount <= :amount;

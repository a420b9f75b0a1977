-- One that comes late must not undo a later one.
UPDATE completions_mw.entries
SET amount = %(amount)s,
    prompt_tokens = %(prompt)s,
    completion_tokens = %(completion)s,
    cached_tokens = %(cached)s,
    reasoning_tokens = %(reasoning)s
WHERE request_id = %(request_id)s AND state = 'reserved' AND amount <= %(amount)s;

-- Returns the value of a stored answer and the milliseconds until it expires. Of a value that is too large to be ours, no more is read than
-- shows that. A key of another type holds no answer.
--
-- KEYS[1]  the answer
-- ARGV[1]  bytes that are read at most
local value = redis.pcall('GETRANGE', KEYS[1], 0, ARGV[1] - 1)
if type(value) ~= 'string' then
    return {'', 0}
end
return {value, redis.call('PTTL', KEYS[1])}

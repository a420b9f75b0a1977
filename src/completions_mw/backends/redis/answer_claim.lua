-- Returns the value of a stored answer as `answer_get` does, or takes the lease of its key: 1 if the caller holds the lease, 2 if nobody is to
-- wait for the answer, 0 if another one holds the lease.
--
-- KEYS[1]  the answer
-- KEYS[2]  the lease
-- ARGV[1]  bytes that are read at most
-- ARGV[2]  owner
-- ARGV[3]  milliseconds until the lease expires
local value = redis.pcall('GETRANGE', KEYS[1], 0, ARGV[1] - 1)
if type(value) == 'string' and value ~= '' then
    return {value, redis.call('PTTL', KEYS[1])}
end
local holder = redis.pcall('GET', KEYS[2])
-- A lease that never ends is nobody's.
local is_ours = type(holder) == 'string' and redis.call('PTTL', KEYS[2]) >= 0
if is_ours and holder == 'open' then
    return {'', 2}
end
if not is_ours or holder == ARGV[2] then
    redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
    return {'', 1}
end
return {'', 0}

-- Ends a lease that its owner still holds. If nobody is to wait for the answer, the lease is replaced by the mark `open` for a while.
--
-- KEYS[1]  the lease
-- ARGV[1]  owner
-- ARGV[2]  milliseconds of the mark; 0 for none
if redis.pcall('GET', KEYS[1]) == ARGV[1] then
    if tonumber(ARGV[2]) > 0 then
        redis.call('SET', KEYS[1], 'open', 'PX', ARGV[2])
    else
        redis.call('DEL', KEYS[1])
    end
end

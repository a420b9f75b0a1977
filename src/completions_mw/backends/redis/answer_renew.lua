-- Extends leases that their owners still hold.
--
-- KEYS     the leases
-- ARGV[1]  milliseconds until the leases expire
-- ARGV     then the owner of each lease
for index, lease in ipairs(KEYS) do
    if redis.pcall('GET', lease) == ARGV[index + 1] then
        redis.call('PEXPIRE', lease, ARGV[1])
    end
end

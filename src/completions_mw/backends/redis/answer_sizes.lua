-- Returns the bytes that values take together. A key of another type counts as empty.
--
-- KEYS  the values
local sum = 0
for _, key in ipairs(KEYS) do
    local size = redis.pcall('STRLEN', key)
    if type(size) == 'number' then
        sum = sum + size
    end
end
return sum

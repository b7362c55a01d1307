-- KEYS[1]: the bucket. ARGV: microseconds for a token to come back, burst, cost.
-- Returns whether it is allowed, the tokens that are left, and microseconds until the same would be allowed.
local every, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) -- when the bucket will be full
local after = full + every * cost
local room = now + every * burst - after
if room < 0 then
	return {0, math.floor((now + every * burst - full) / every), -room}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {1, math.floor(room / every), 0}

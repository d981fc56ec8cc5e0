-- SPDX-License-Identifier: Apache-2.0
-- needs: exact.lua metrics.lua forgetting.lua
-- shift.lua - works off a slice of what late changes of state still have to shift (apply.lua), the newest members first.
-- ARGV: prefix, level, name, unique. Answers how much is left.
local P, LEVEL, NAME, UNIQUE = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local SLICE, METRICS = 64, {s = 'storageUtilized', o = 'numberOfObjects'}
local prefix = prefix_of(P, LEVEL, NAME)
local shifts = prefix .. OWN .. 'shifts'
local first = redis.call('LINDEX', shifts, 0)
if not first then
    redis.call('SREM', P .. ':utapid:shifting', LEVEL .. ':' .. NAME)
    return 0
end
local metric, interval, delta, cursor = string.match(first, '^(%a) (%d+) (%-?%d+) (%d+)$')
local key = prefix .. METRICS[metric]
local members = redis.call('ZREVRANGEBYSCORE', key, '(' .. cursor, interval, 'WITHSCORES', 'LIMIT', 0, SLICE)
for i = 1, #members, 2 do
    member_shift(key, members[i + 1], members[i], delta, UNIQUE .. '-' .. i)
end
if #members == 2 * SLICE then
    redis.call('LSET', shifts, 0, metric .. ' ' .. interval .. ' ' .. delta .. ' ' .. members[#members])
else
    member_insert(key, interval, delta, UNIQUE)
    redis.call('LPOP', shifts)
end
local left = redis.call('LLEN', shifts)
if left == 0 then
    redis.call('SREM', P .. ':utapid:shifting', LEVEL .. ':' .. NAME)
end
return left

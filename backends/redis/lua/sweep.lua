-- SPDX-License-Identifier: Apache-2.0
-- needs: exact.lua metrics.lua expiry.lua
-- sweep.lua - deletes old flows of an expired resource, of a few intervals. ARGV: prefix, "level:name". Answers
-- whether some are left.
local P, WHO = ARGV[1], ARGV[2]
local INTERVAL, SLICE = 900000, 4
local sweeping = P .. ':utapid:sweeping'
local level, name = string.match(WHO, '^(%a+):(.*)$')
local from, to = string.match(own('HGET', sweeping, WHO) or '', '^(%d+) (%d+)$')
if not level or not from or #from > 15 or #to > 15 then -- it is none of ours
    redis.call('HDEL', sweeping, WHO)
    return 0
end
from, to = tonumber(from), tonumber(to)
for _ = 1, SLICE do
    if from < to then
        redis.call('UNLINK', unpack(flow_keys(P, level, name, string.format('%.0f', from))))
        from = from + INTERVAL
    end
end
if from >= to then
    redis.call('HDEL', sweeping, WHO)
    return 0
end
redis.call('HSET', sweeping, WHO, string.format('%.0f %.0f', from, to))
return 1

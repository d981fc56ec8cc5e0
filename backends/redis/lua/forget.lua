-- SPDX-License-Identifier: Apache-2.0
-- needs: exact.lua metrics.lua forgetting.lua
-- forget.lua - forgets one resource. ARGV: prefix, level, name, time or "" for what was appointed, unique.
local P, LEVEL, NAME, TIME, UNIQUE = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local uniques = 0
local function unique_next()
    uniques = uniques + 1
    return UNIQUE .. '-' .. uniques
end
if TIME == '' then
    local at = tonumber(own('ZSCORE', P .. ':utapid:due', NAME) or '')
    if not at or at < 0 or at >= EXACT then -- an event came first, or somebody else set what is no time
        own('ZREM', P .. ':utapid:due', NAME)
        return 'OK'
    end
    TIME = string.format('%.0f', at)
end
if own('LLEN', prefix_of(P, LEVEL, NAME) .. OWN .. 'shifts') > 0 then
    return 'SHIFTS'
end
forget(P, LEVEL, NAME, TIME, unique_next)
return 'OK'

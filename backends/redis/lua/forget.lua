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
    local at = own('ZSCORE', P .. ':utapid:due', NAME)
    if not at then
        return 'OK' -- an event came first
    end
    TIME = string.format('%.0f', tonumber(at))
end
if own('LLEN', prefix_of(P, LEVEL, NAME) .. OWN .. 'shifts') > 0 then
    return 'SHIFTS'
end
forget(P, LEVEL, NAME, TIME, unique_next)
return 'OK'

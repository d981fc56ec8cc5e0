-- SPDX-License-Identifier: Apache-2.0
-- needs: exact.lua metrics.lua expiry.lua
-- expire.lua - expires one resource. KEYS: the writer's fence ("" without one). ARGV: prefix, level, name, time or ""
-- for what was scheduled, nonce, where the fence is to stand.
local P, LEVEL, NAME, TIME, NONCE, FROM = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
if KEYS[1] ~= '' and (fit('GET', KEYS[1]) or '0') ~= FROM then
    return 'FENCED'
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
    return 'CORRECTIONS'
end
expire(P, LEVEL, NAME, TIME, nonces_of(NONCE))
return 'OK'

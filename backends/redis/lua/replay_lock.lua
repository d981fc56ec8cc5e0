-- SPDX-License-Identifier: Apache-2.0
-- needs: named.lua
-- replay_lock.lua - takes the lock of V1's replay, makes it last anew, or gives it back: never anybody else's.
--
-- KEYS  s3:utapireplay:lock
-- ARGV  our word; for how many seconds, 0 to give it back
-- Returns 1 if the lock is ours now.

return answer_of(function()
    local seconds = tonumber(ARGV[2])
    local holder = call('GET', KEYS[1])
    if holder and holder ~= ARGV[1] then
        return 0
    end
    if seconds > 0 then
        call('SET', KEYS[1], ARGV[1], 'EX', seconds)
        return 1
    end
    call('DEL', KEYS[1])
    return 0
end)

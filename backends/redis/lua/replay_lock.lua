-- SPDX-License-Identifier: Apache-2.0
-- replay_lock.lua - takes the lock of V1's replay, makes it last anew, or gives it back: never anybody else's.
--
-- KEYS  s3:utapireplay:lock
-- ARGV  our word; for how many seconds, 0 to give it back
-- Returns 1 if the lock is ours now.

local seconds = tonumber(ARGV[2])
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    return 0
end
if seconds > 0 then
    redis.call('SET', KEYS[1], ARGV[1], 'EX', seconds)
    return 1
end
redis.call('DEL', KEYS[1])
return 0

-- SPDX-License-Identifier: Apache-2.0
-- replay_take.lua - the elements that were taken and are not done with; if there are none, takes the oldest of V1's list.
--
-- KEYS  s3:utapireplay; s3:utapid:replay, its :last and its :origin
-- ARGV  how many at most; how many bytes at most, the first one aside; an origin, where there is none yet
-- Returns the origin, then the members "<N>-<digest>:<element>", ascending by N.
--
-- A script is not rolled back: elements are stored in our set before they leave the list, so that a failure in between
-- shows them twice rather than never. The digest keeps uuids apart where a Redis came back without its last writes, and
-- so gives a number a second time: the same element gets its old uuid then, and another one a new uuid.

local most = tonumber(ARGV[1])
local taken = redis.call('ZRANGE', KEYS[2], 0, most - 1)
local fresh = {}
if #taken == 0 then
    fresh = redis.call('LRANGE', KEYS[1], -most, -1)
    if #fresh == 0 then
        return {''}
    end
end

local origin = redis.call('GET', KEYS[4])
if not origin then
    origin = ARGV[3]
    redis.call('SET', KEYS[4], origin)
end

local bytes, words = 0, {}
for i = #fresh, 1, -1 do
    bytes = bytes + #fresh[i]
    if i < #fresh and bytes > tonumber(ARGV[2]) then
        break
    end
    taken[#taken + 1] = fresh[i]
end
if #fresh > 0 then
    local last = redis.call('INCRBY', KEYS[3], #taken)
    for i = 1, #taken do
        local number = string.format('%.0f', last - #taken + i)
        taken[i] = number .. '-' .. string.sub(redis.sha1hex(taken[i]), 1, 16) .. ':' .. taken[i]
        words[2 * i - 1], words[2 * i] = number, taken[i]
    end
    redis.call('ZADD', KEYS[2], unpack(words))
    redis.call('LTRIM', KEYS[1], 0, -(#taken + 1))
end
table.insert(taken, 1, origin)
return taken

-- SPDX-License-Identifier: Apache-2.0
-- needs: named.lua
-- replay_take.lua - the elements that were taken and are not done with; without any, takes the oldest of V1's list.
--
-- KEYS  s3:utapireplay; s3:utapid:replay, its :last, its :origin and its :refused
-- ARGV  how many at most; how many bytes at most, the first one aside
-- Returns the origin, how many elements were set aside, then the members "<N>-<digest>:<element>", ascending by N.
--
-- A script is not rolled back: elements are stored in our set before they leave the list, so that a failure in between
-- shows them twice rather than never. The digest keeps uuids apart where a Redis came back without its last writes, and
-- so gives a number a second time: the same element gets its old uuid then, and another one a new uuid. The origin
-- tells the uuids of caches apart. It may be lost as well, so it follows from the oldest element. A member that was not
-- stored here is set aside: it has no uuid, and would not go by its number.

local function digest_of(text)
    return string.sub(redis.sha1hex(text), 1, 16)
end

return answer_of(function()
    local max_count = tonumber(ARGV[1])
    local refused = call('LLEN', KEYS[5])
    local taken = {}
    local stored = call('ZRANGE', KEYS[2], 0, max_count - 1, 'WITHSCORES')
    for i = 1, #stored, 2 do
        local member, number = stored[i], string.match(stored[i], '^(%d+)%-' .. string.rep('%x', 16) .. ':')
        if number and #number < 16 and tonumber(number) == tonumber(stored[i + 1]) then
            taken[#taken + 1] = member
        else
            call('RPUSH', KEYS[5], 'no utapid wrote it into ' .. KEYS[2] .. '\n' .. member)
            call('ZREM', KEYS[2], member)
        end
    end
    local fresh = {}
    if #taken == 0 then
        fresh = call('LRANGE', KEYS[1], -max_count, -1)
        if #fresh == 0 then
            return {'', refused}
        end
    end

    local origin = call('GET', KEYS[4])
    if not origin then
        origin = digest_of(fresh[#fresh] or taken[1])
        call('SET', KEYS[4], origin)
    elseif #origin > 64 or not string.find(origin, '^%x+$') then
        fail('ERR no utapid wrote it', KEYS[4])
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
        local last = call('INCRBY', KEYS[3], #taken)
        if last < #taken then
            fail('ERR below zero', KEYS[3])
        end
        for i = 1, #taken do
            local number = string.format('%.0f', last - #taken + i)
            taken[i] = number .. '-' .. digest_of(taken[i]) .. ':' .. taken[i]
            words[2 * i - 1], words[2 * i] = number, taken[i]
        end
        call('ZADD', KEYS[2], unpack(words))
        call('LTRIM', KEYS[1], 0, -(#taken + 1))
    end
    table.insert(taken, 1, refused)
    table.insert(taken, 1, origin)
    return taken
end)

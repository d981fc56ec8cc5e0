-- SPDX-License-Identifier: Apache-2.0
-- needs: named.lua
-- replay_refuse.lua - sets an element that can never be counted aside, with the reason.
--
-- KEYS  s3:utapid:replay; s3:utapid:replay:refused
-- ARGV  the element's number; the reason
-- Returns how many were moved: 0 if that happened before.

return answer_of(function()
    local members = call('ZRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[1])
    for i = 1, #members do
        local element = string.sub(members[i], string.find(members[i], ':', 1, true) + 1)
        call('RPUSH', KEYS[2], ARGV[2] .. '\n' .. element)
        call('ZREM', KEYS[1], members[i])
    end
    return #members
end)

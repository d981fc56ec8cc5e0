-- SPDX-License-Identifier: Apache-2.0
-- named.lua - Redis's errors with the key that they are of, behind their first word. Shared: see "needs:".

-- What a script returns in the end: what it raises loses its first word in Redis 6, and what pcall() gives back in
-- Redis 7.
local failure

local function fail(err, key)
    local word, rest = string.match(err, '^(%S+) ?(.*)$')
    failure = {err = word .. ' ' .. key .. ': ' .. rest}
    error(failure.err)
end

local function call(command, key, ...)
    local answer = redis.pcall(command, key, ...)
    if type(answer) == 'table' and answer.err then
        fail(answer.err, key)
    end
    return answer
end

local function answer_of(work)
    local done, answer = pcall(work)
    if not done and not failure then
        error(answer)
    end
    return failure or answer
end

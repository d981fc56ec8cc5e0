-- SPDX-License-Identifier: Apache-2.0
-- snapshot.lua - several commands answered at one moment, where Redis is out of memory and refuses to queue them for a
-- MULTI. It runs a script that writes nothing even then. ARGV: commands, each as the number of its words, and these.
-- Answers what each of them answers.
local answers, at = {}, 1
while at <= #ARGV do
    local words = tonumber(ARGV[at])
    answers[#answers + 1] = redis.pcall(unpack(ARGV, at + 1, at + words))
    at = at + 1 + words
end
return answers

-- Vectors from math.random(0, modulus - 1) after math.randomseed(seed): the generator differs with the interpreter.
-- Usage: lua.lua NAME RUNTIME: the recipe that this interpreter speaks for, and what the interpreter is.
local name, runtime = ...
local seeds = {0, 1, 42, 12345, 2147483647}
local moduli = {6, 1000, 1024, 4194319, 2147483647}

-- Integers of Lua 5.4 have 64 bits, numbers of the others 53.
local function whole(x) return string.format(math.type and math.type(x) == "integer" and "%d" or "%.0f", x) end

local function draws(count, draw)
    local out = {}
    for i = 1, count do out[i] = whole(draw()) end
    return table.concat(out, " ")
end

local function line(...) print(table.concat({...}, "\t")) end

if jit or _VERSION ~= "Lua 5.1" then
    -- Lua 5.1 makes an int of the seed.
    for _, seed in ipairs {2147483648, 4294967295} do table.insert(seeds, seed) end
end
if _VERSION == "Lua 5.4" then
    for _, seed in ipairs {4294967297, 9223372036854775807} do table.insert(seeds, seed) end
end
if jit then
    -- The 52 bits under the point are all that a word shows.
    line("source", "tausworthe223", runtime .. ", math.random() 2^52")
    for _, seed in ipairs(seeds) do
        local function bits() return math.random() * 2 ^ 52 end
        math.randomseed(seed)
        for _ = 1, 9999 do bits() end
        local nth = whole(bits())
        math.randomseed(seed)
        line("case", "tausworthe223", whole(seed), "-", nth, draws(16, bits))
    end
end
line("source", name, runtime .. ", math.randomseed and math.random(0, modulus - 1)")
for _, n in ipairs(moduli) do
    for _, seed in ipairs(seeds) do
        math.randomseed(seed)
        line("case", name, whole(seed), whole(n), "-", draws(64, function() return math.random(0, n - 1) end))
    end
end

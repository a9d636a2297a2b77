-- Written by Holdfast. Changes made here are shown as drift and undone by the next apply.
-- Which application server gets a request: of two drawn by weight, the one with fewer requests in flight for its
-- weight. Weights come from edge-watch by a file, so nothing is reloaded for them. Without edge-watch all weigh the
-- same, and a server that fails a request is left alone for a moment.
local balancer = require "ngx.balancer"

local M = {}

local WEIGHTS, DRAINED = "/run/holdfast-edge/weights", "/run/holdfast-edge/drained/"
-- Older weights are nobody's opinion any more.
local OLD_S = 5
-- How often the files are looked at. They lie in memory.
local LOOK_S = 0.1
-- A server that failed a request is left alone for this long by this worker.
local FAILED_S = 2
local RETRIES = 2

local servers = {}
local totals = ngx.shared.edge

-- One worker's view. A worker that dies takes its counts along, so none can be wrong for ever.
local view = {}

function M.setup(list)
    servers = list
    for _, server in ipairs(servers) do
        view[server.name] = { weight = 1, drained = false, failed_until = 0, flying = 0 }
    end
end

local function read(path)
    local file = io.open(path)
    if not file then
        return nil
    end
    local text = file:read("*a")
    file:close()
    return text
end

-- The weights in a text of lines; none when they are too old.
function M.parsed(text, now)
    local found = {}
    local at = tonumber(text:match("^at (%d+)\n"))
    if not at or math.abs(now - at) > OLD_S then
        return found
    end
    for name, weight in text:gmatch("\n(%S+) ([%d.]+)") do
        found[name] = tonumber(weight)
    end
    return found
end

function M.look()
    local weights = M.parsed(read(WEIGHTS) or "", ngx.time())
    for _, server in ipairs(servers) do
        local each = view[server.name]
        each.weight = weights[server.name] or 1
        each.drained = read(DRAINED .. server.name) ~= nil
    end
end

function M.watch()
    M.look()
    assert(ngx.timer.every(LOOK_S, function(premature)
        if not premature then
            M.look()
        end
    end))
end

-- The servers that a rule lets through.
local function those(rule)
    local found = {}
    for _, server in ipairs(servers) do
        if rule(view[server.name], server.name) then
            found[#found + 1] = server
        end
    end
    return found
end

-- Who may be asked: first those in use that have not just failed; with everybody marked, trying is better than refusing.
function M.candidates(tried, now)
    local found = those(function(each, name)
        return each.weight > 0 and not each.drained and each.failed_until <= now and not tried[name]
    end)
    if #found == 0 then
        found = those(function(each, name)
            return each.weight > 0 and not each.drained and not tried[name]
        end)
    end
    if #found == 0 then
        found = those(function(_, name)
            return not tried[name]
        end)
    end
    return #found > 0 and found or servers
end

local function weight_of(server)
    local weight = view[server.name].weight
    return weight > 0 and weight or 1
end

-- One server by chance, in proportion to its weight, but not this one.
local function drawn(found, but)
    local sum = 0
    for _, server in ipairs(found) do
        sum = sum + (server == but and 0 or weight_of(server))
    end
    local left = math.random() * sum
    local last
    for _, server in ipairs(found) do
        if server ~= but then
            last = server
            left = left - weight_of(server)
            if left <= 0 then
                return server
            end
        end
    end
    return last
end

local function burden(server)
    return view[server.name].flying / weight_of(server)
end

-- When neither has anything to do the first draw counts: then shares are as the weights.
function M.picked(found)
    local one = drawn(found)
    if #found == 1 then
        return one
    end
    local other = drawn(found, one)
    return burden(other) < burden(one) and other or one
end

local function land(name)
    view[name].flying = math.max(0, view[name].flying - 1)
end

function M.balance()
    local ctx, now = ngx.ctx, ngx.now()
    if ctx.server then
        land(ctx.server)
        view[ctx.server].failed_until = now + FAILED_S
    else
        ctx.tried = {}
        balancer.set_more_tries(math.min(RETRIES, #servers - 1))
    end
    local server = M.picked(M.candidates(ctx.tried, now))
    ctx.tried[server.name], ctx.server = true, server.name
    view[server.name].flying = view[server.name].flying + 1
    assert(balancer.set_current_peer(server.address, server.port))
end

-- Answers of each server and how long their heads took, for edge-watch. The head: a stream's end says nothing.
function M.log()
    local name = ngx.ctx.server
    if not name then
        return
    end
    land(name)
    local seconds = tonumber((ngx.var.upstream_header_time or ""):match("([%d.]+)$"))
    if seconds then
        totals:incr("answers " .. name, 1, 0)
        totals:incr("seconds " .. name, seconds, 0)
    end
end

function M.show()
    local found = {}
    for _, server in ipairs(servers) do
        local answers, seconds = totals:get("answers " .. server.name), totals:get("seconds " .. server.name)
        found[#found + 1] = string.format('"%s": [%d, %.6f]', server.name, answers or 0, seconds or 0)
    end
    ngx.say("{" .. table.concat(found, ", ") .. "}")
end

return M

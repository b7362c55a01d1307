-- Asks Noria whether a request may go ahead: http-request lua.noria ROUTE

local url = "http://127.0.0.1:8089/v1/auth/" -- of the section "listen noria"

-- Headers of the client that are not for the sub-request: what it says of itself there is HAProxy's word alone.
local kept_back = {
    ["host"] = true, ["connection"] = true, ["content-length"] = true, ["transfer-encoding"] = true, ["expect"] = true,
    ["upgrade"] = true, ["te"] = true, ["trailer"] = true, ["keep-alive"] = true,
    ["x-forwarded-for"] = true, ["x-forwarded-method"] = true, ["x-forwarded-uri"] = true, ["x-forwarded-host"] = true,
    ["x-original-uri"] = true, ["x-original-method"] = true, ["x-real-ip"] = true,
}

-- Headers of the answer that are not for the client.
local own = { ["connection"] = true, ["content-length"] = true, ["transfer-encoding"] = true, ["keep-alive"] = true, ["date"] = true }

local function first(headers, name)
    local lines = headers and headers[name]
    return lines and lines[0]
end

local function ask(txn, route)
    local headers = {}
    for name, lines in pairs(txn.http:req_get_headers()) do
        if not kept_back[name] then
            local all = {}
            for _, line in pairs(lines) do
                all[#all + 1] = line
            end
            headers[name] = all
        end
    end
    headers["host"] = { "noria" }
    headers["x-forwarded-method"] = { txn.sf:method() }
    headers["x-forwarded-uri"] = { txn.sf:pathq() }
    headers["x-forwarded-host"] = { txn.sf:req_hdr("host") }
    headers["x-forwarded-for"] = { txn.sf:src() }
    return core.httpclient():get({ url = url .. route, headers = headers })
end

core.register_action("noria", { "http-req" }, function(txn, route)
    local answer = ask(txn, route)
    local status = answer and answer.status or 0
    if status == 200 then
        for var, name in pairs({ policy = "ratelimit-policy", state = "ratelimit", limit = "x-ratelimit-limit", remaining = "x-ratelimit-remaining" }) do
            local value = first(answer.headers, name)
            if value then
                txn:set_var("txn.noria_" .. var, value)
            end
        end
        return
    end
    if status < 400 then
        -- No node could be asked. To let requests through instead, return here.
        txn:done(txn:reply({ status = 503, headers = { ["retry-after"] = { "1" } } }))
        return
    end
    local headers = {}
    for name, lines in pairs(answer.headers or {}) do
        if not own[name] then
            headers[name] = { lines[0] }
        end
    end
    txn:done(txn:reply({ status = status, headers = headers, body = answer.body }))
end, 1)

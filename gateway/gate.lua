-- What every request must satisfy before another filter looks at it: a route, the method, the origin, the content
-- type, the announced length, a deadline. `filterContext()` holds what the route says, the virtual host's metadata the
-- allowed origins. A refusal is answered with its sentence alone; local_reply_config gives it the door's shape.

local UNITS = { H = 3600000, M = 60000, S = 1000, m = 1, u = 0.001, n = 0.000001 }

-- Which door a content type belongs to on the gRPC paths. Anything else is refused there: a web page can send
-- text/plain without asking first.
local DOORS = {
  ["application/grpc"] = "grpc",
  ["application/grpc+proto"] = "grpc",
  ["application/grpc-web"] = "grpc-web",
  ["application/grpc-web+proto"] = "grpc-web",
  ["application/grpc-web-text"] = "grpc-web",
  ["application/grpc-web-text+proto"] = "grpc-web",
  ["application/proto"] = "connect",
  ["application/connect+proto"] = "connect",
}

local function media_type(headers)
  local value = headers:get("content-type")
  return value and value:lower():match("^%s*([^;%s]*)")
end

local function has_body(handle, headers)
  local length = headers:get("content-length")
  if length ~= nil then
    return length ~= "0"
  end
  -- Chunked, or HTTP/2, which needs no header to send a body: only its coming tells. Where there is none this returns
  -- at once; where there is one, the wait for it ends the life of `headers`, and the request is refused anyway.
  return handle:body() ~= nil
end

local function origin_refused(handle, headers)
  local origin = headers:get("origin")
  if origin == nil then
    return false
  end
  origin = origin:lower()
  -- Same origin: the page came from this very gateway. x-forwarded-proto is set by Envoy from the connection.
  if origin == headers:get("x-forwarded-proto") .. "://" .. headers:get(":authority"):lower() then
    return false
  end
  local allowed = handle:virtualHost():metadata():get("origins")
  for _, candidate in ipairs(allowed or {}) do
    if origin == candidate then
      return false
    end
  end
  return true
end

local function body_refused(handle, headers, context)
  if context:get("face") == nil then
    return nil
  end
  local kind = media_type(headers)
  if context:get("any_body") then
    if kind ~= nil and kind:match("^multipart/") then
      return 415, "Send the file itself, not a form: curl --data-binary @FILE -H 'content-type: application/octet-stream' " ..
        "URL, with the document's name at the end of the URL."
    end
  elseif kind ~= "application/json" then
    if has_body(handle, headers) then
      return 415, "Send the body as JSON, with the header content-type: application/json."
    end
    return nil
  end
  local encoding = headers:get("content-encoding")
  if encoding ~= nil and encoding:lower() ~= "identity" then
    return 415, "Send the body without content-encoding."
  end
  local length, limit = tonumber(headers:get("content-length") or ""), context:get("body_limit")
  if length ~= nil and limit ~= nil and length > limit then
    return 413, string.format("The body has %d bytes; at most %d are accepted. Send it in parts.", length, limit)
  end
  return nil
end

-- The caller's own deadline in milliseconds: nil when there is none, false when it cannot be read.
local function own_deadline(headers)
  local connect = headers:get("connect-timeout-ms")
  if connect ~= nil then
    headers:remove("connect-timeout-ms")
    return #connect <= 10 and tonumber(connect:match("^%d+$")) or false
  end
  local timeout = headers:get("grpc-timeout")
  if timeout == nil then
    return nil
  end
  local digits, unit = timeout:match("^(%d+)([HMSmun])$")
  return digits ~= nil and #digits <= 8 and math.max(1, math.ceil(tonumber(digits) * UNITS[unit]))
end

-- Gives the call the route's deadline when it has none and shortens one beyond the route's limit. The router waits a
-- little longer than the service, so that the service's own answer wins while it is able to give one.
local function set_deadline(headers, context)
  local own = own_deadline(headers)
  if own == false then
    return 400, "grpc-timeout must be up to 8 digits and one of H, M, S, m, u, n, as in 30S."
  end
  local deadline = own or context:get("deadline_ms")
  if deadline == nil then
    return nil
  end
  if context:get("deadline_limit_ms") ~= nil then
    deadline = math.min(deadline, context:get("deadline_limit_ms"))
  end
  headers:replace("grpc-timeout", string.format("%dm", deadline))
  headers:replace("x-envoy-upstream-rq-timeout-ms", string.format("%d", deadline + context:get("deadline_grace_ms")))
  return nil
end

-- The HTTP status and the sentence of a refusal, or nothing.
local function refusal(handle, headers, context)
  if origin_refused(handle, headers) then
    return 403, "Pages of this origin may not call this gateway; add it to PERGOLA_GATEWAY_ALLOWED_ORIGINS."
  end
  if context:get("answer") == 404 then
    return 404, "There is no such route; docs/gateway.md lists them."
  end
  local method = headers:get(":method")
  if context:get("answer") == 405 or (context:get("methods") ~= nil and method ~= context:get("methods")) then
    return 405, "This route takes " .. context:get("methods") .. "."
  end
  if context:get("door") == "grpc" then
    local door = DOORS[media_type(headers) or ""]
    if door == nil or (headers:get("content-type"):lower():match("^application/proto") and
        headers:get("connect-protocol-version") ~= "1") then
      return 415, "gRPC paths take application/grpc, application/grpc-web, application/grpc-web-text, " ..
        "application/connect+proto, and application/proto with connect-protocol-version: 1."
    end
    handle:streamInfo():dynamicMetadata():set("pergola", "door", door)
  end
  local status, sentence = body_refused(handle, headers, context)
  if status == nil then
    status, sentence = set_deadline(headers, context)
  end
  return status, sentence
end

-- The caller's own id is kept when it is harmless in logs; Envoy has put a fresh one into x-request-id already.
local function keep_request_id(headers)
  local own = headers:get("x-pergola-outer-request-id")
  if own ~= nil then
    headers:remove("x-pergola-outer-request-id")
    if #own <= 128 and own:match("^[%w._-]+$") then
      headers:replace("x-request-id", own)
    end
  end
end

local function admit(handle)
  local headers = handle:headers()
  local context = handle:filterContext()
  local metadata = handle:streamInfo():dynamicMetadata()
  keep_request_id(headers)
  metadata:set("pergola", "request_id", headers:get("x-request-id"))
  local door = context:get("door")
  if door == nil then
    -- No route at all: a CONNECT, which has no path.
    return 404, "There is no such route; docs/gateway.md lists them."
  end
  metadata:set("pergola", "door", door)
  if door == "health" then
    return nil
  end
  if context:get("face") ~= nil then
    headers:replace("x-pergola-face", context:get("face"))
  elseif door == "websocket" then
    -- The edge takes only what came through these checks: a page can reach its port, but not set this header.
    headers:replace("x-pergola-door", "websocket")
  end
  local methods = context:get("methods")
  local status, sentence = refusal(handle, headers, context)
  return status, sentence, methods
end

-- Asks the listener `readiness`, which answers for one part a path.
local function answer_readiness(handle, parts)
  local states, missing = {}, {}
  for _, part in ipairs(parts) do
    local answer = handle:httpCall("readiness",
      { [":method"] = "GET", [":path"] = "/" .. part, [":authority"] = "readiness" }, nil, 1000)
    local ready = answer[":status"] == "200"
    table.insert(states, string.format('"%s": "%s"', part, ready and "ready" or "missing"))
    if not ready then
      table.insert(missing, '"' .. part .. '"')
    end
  end
  local ready = #missing == 0
  handle:respond({ [":status"] = ready and "200" or "503" }, string.format(
    '{"status": "%s", "missing": [%s], "parts": {%s}}\n', ready and "ready" or "not_ready",
    table.concat(missing, ", "), table.concat(states, ", ")))
end

function envoy_on_request(handle)
  -- A script that fails would let the request pass unchecked: it is refused instead.
  local ran, status, sentence, allow = pcall(admit, handle)
  if not ran then
    handle:logErr("gate: " .. tostring(status))
    handle:respond({ [":status"] = "500" }, "The gateway could not check the request.")
  elseif status ~= nil then
    handle:respond({ [":status"] = tostring(status), allow = status == 405 and allow or nil }, sentence)
  else
    local parts = handle:filterContext():get("readiness")
    if parts ~= nil then
      answer_readiness(handle, parts)
    end
  end
end

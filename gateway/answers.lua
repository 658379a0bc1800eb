-- The last word on an answer. A call that failed before its first message carries the error body that the service has
-- prepared for the caller's face, and its HTTP status, as trailing metadata, which the transcoder turns into headers:
-- they are swapped in here. And where the contract says that one field of the response is the JSON answer
-- (`response_body`), the object around it is taken off. Last, the Connect bridge leaves the message of an error as gRPC
-- encodes it (`%C3%B8`); it is decoded here.

-- Waiting for the body ends the life of every object taken before: each function takes the headers again after it.

local function swap_error(handle, prepared, status)
  local size = handle:body(true):setBytes(prepared)
  local headers = handle:headers()
  headers:replace(":status", status)
  headers:replace("content-type", "application/json")
  headers:replace("content-length", tostring(size))
end

local function unwrap(handle, field)
  local body = handle:body(true)
  local text = body:getBytes(0, body:length())
  local opening = '{"' .. field .. '":'
  -- The response has this one field, so its text is exactly the opening, the field's own object and a brace.
  if text:sub(1, #opening) == opening and text:sub(-1) == "}" then
    local size = body:setBytes(text:sub(#opening + 1, -2))
    handle:headers():replace("content-length", tostring(size))
  end
end

local function decode_byte(digits)
  local byte = tonumber(digits, 16)
  if byte < 0x20 then
    return string.format("\\u%04x", byte)
  end
  local character = string.char(byte)
  return (character == '"' or character == "\\") and "\\" .. character or character
end

-- The body of a Connect error is JSON whose only percent signs are those of the encoded message.
local function decode_connect_error(handle)
  local body = handle:body(true)
  local size = body:setBytes((body:getBytes(0, body:length()):gsub("%%(%x%x)", decode_byte)))
  handle:headers():replace("content-length", tostring(size))
end

local function finish_grpc(handle, headers)
  -- Set by local_reply_config where HTTP's status has no gRPC status of the same meaning.
  local status = headers:get("x-pergola-grpc-status")
  if status ~= nil then
    headers:remove("x-pergola-grpc-status")
    headers:replace("grpc-status", status)
  end
  if headers:get(":status") ~= "200" and headers:get("content-type") == "application/json" then
    decode_connect_error(handle)
  end
end

-- What gRPC needed on its way, and what is not to be seen whatever becomes of it.
local INTERNAL = {
  "x-pergola-error", "x-pergola-http-status", "grpc-status", "grpc-message", "grpc-status-details-bin",
  "grpc-accept-encoding", "grpc-encoding", "grpc-retry-pushback-ms",
}

local function finish_json(handle, headers, field)
  local prepared = headers:get("x-pergola-error")
  local status = headers:get("x-pergola-http-status")
  for _, name in ipairs(INTERNAL) do
    headers:remove(name)
  end
  if prepared ~= nil and status ~= nil and status:match("^[45]%d%d$") then
    swap_error(handle, prepared, status)
  elseif field ~= nil and headers:get(":status") == "200" then
    unwrap(handle, field)
  end
end

function envoy_on_response(handle)
  local context = handle:filterContext()
  if context:get("face") ~= nil then
    finish_json(handle, handle:headers(), context:get("unwrap"))
  elseif context:get("door") == "grpc" then
    finish_grpc(handle, handle:headers())
  end
end

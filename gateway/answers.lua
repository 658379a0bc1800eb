-- The last word on an answer. A call that failed before its first message carries the error body that the service has
-- prepared for the caller's face, and its HTTP status, as trailing metadata, which the transcoder turns into headers:
-- they are swapped in here; a call that gRPC itself ended gets a body of the same shape. Where the contract says that one
-- field of the response is the JSON answer (`response_body`), the object around it is taken off. And the Connect bridge
-- leaves the message of an error as gRPC encodes it (`%C3%B8`); it is decoded here.

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

-- One byte of a percent-encoded gRPC message as it stands inside a JSON string.
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

local CODES = {
  "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
  "DATA_LOSS", "UNAUTHENTICATED",
}

-- Gives the shape of its door to the error of a call that gRPC itself ended, so that no service could prepare one. The
-- transcoder has made {"code": 4, "message": "…", "details": […]} of it, with gRPC's number.
local function shape_error(handle, face, http_status)
  local body = handle:body(true)
  local code, message = body:getBytes(0, body:length()):match('^{"code":(%d+),"message":(".*"),"details":%[')
  if code == nil then
    return
  end
  local name = CODES[tonumber(code)] or "UNKNOWN"
  local request_id = handle:streamInfo():dynamicMetadata():get("pergola").request_id
  local text
  if face == "openai" then
    text = string.format('{"error": {"message": %s, "type": "%s", "param": null, "code": "%s", "request_id": "%s"}}',
      message, tonumber(http_status) < 500 and "invalid_request_error" or "server_error", name:lower(), request_id)
  else
    text = string.format('{"error": {"code": %s, "status": "%s", "reason": "%s", "message": %s, "request_id": "%s"}}',
      http_status, name, name, message, request_id)
  end
  handle:headers():replace("content-length", tostring(body:setBytes(text)))
end

local function finish_json(handle, headers, context)
  local prepared, prepared_status = headers:get("x-pergola-error"), headers:get("x-pergola-http-status")
  for _, name in ipairs(INTERNAL) do
    headers:remove(name)
  end
  local status = headers:get(":status")
  if prepared ~= nil and prepared_status ~= nil and prepared_status:match("^[45]%d%d$") then
    swap_error(handle, prepared, prepared_status)
  elseif status:match("^[45]") then
    shape_error(handle, context:get("face"), status)
  elseif context:get("unwrap") ~= nil and status == "200" then
    unwrap(handle, context:get("unwrap"))
  end
end

function envoy_on_response(handle)
  local context = handle:filterContext()
  if context:get("face") ~= nil then
    finish_json(handle, handle:headers(), context)
  elseif context:get("door") == "grpc" then
    finish_grpc(handle, handle:headers())
  end
end

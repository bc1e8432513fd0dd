-- What wrk sends, and the one line that it reports. Arguments after --:
--   FILE START   each request has the next token of a file, from a byte on
--   upload N     each request has a body of N bytes
-- Without them each request is the one of the command line.
local file

function init(args)
  if args[1] == "upload" then
    wrk.method = "POST"
    wrk.body = string.rep("x", tonumber(args[2]))
  elseif args[1] then
    file = assert(io.open(args[1]))
    file:seek("set", tonumber(args[2]))
    if tonumber(args[2]) > 0 then file:read("*l") end -- the rest of a line
    request = function()
      local token = file:read("*l")
      if not token then
        file:seek("set", 0)
        token = file:read("*l")
      end
      return "GET " .. wrk.path .. " HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer " .. token .. "\r\n\r\n"
    end
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("measured requests=%d microseconds=%d refused=%d broken=%d p50=%d p99=%d\n", summary.requests, summary.duration,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50), latency:percentile(99)))
end

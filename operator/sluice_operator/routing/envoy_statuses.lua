-- Over gRPC the filter that asks about data calls every refusal "permission denied". Which status it is the router's
-- own answers say in a header that goes no further.

function envoy_on_response(handle)
  local headers = handle:headers()
  local status = headers:get("x-sluice-grpc-status")
  if status ~= nil then
    headers:replace("grpc-status", status)
    headers:remove("x-sluice-grpc-status")
  end
end

-- Health of a ModelDeployment for Argo CD, from the conditions that kstatus reads, too.
-- Degraded: the version in the spec was refused or taken back, also while the former one serves on.
-- Suspended: a rollout waits for a person. Healthy: the version in the spec carries 100 % and answers.
local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "not looked at yet"}
end
local found = {}
for _, condition in ipairs(status.conditions) do
  found[condition.type] = condition
end
local function is_true(name)
  return found[name] ~= nil and found[name].status == "True"
end
local function said(name)
  local condition = found[name]
  if condition == nil then
    return ""
  end
  if condition.message == nil or condition.message == "" then
    return condition.reason or ""
  end
  return condition.message
end
if is_true("Stalled") then
  return {status = "Degraded", message = said("Stalled")}
end
local rollout = status.rollout
if rollout ~= nil and rollout.pause ~= nil and rollout.failure == nil then
  return {status = "Suspended", message = said("Reconciling")}
end
if is_true("Reconciling") then
  return {status = "Progressing", message = said("Reconciling")}
end
if is_true("Ready") and is_true("Promoted") then
  -- A feature store that could not be filled keeps its values: told, and no reason to roll anything back.
  local features = found["FeaturesReady"]
  if features ~= nil and features.status == "False" then
    return {status = "Healthy", message = said("Promoted") .. "; features: " .. said("FeaturesReady")}
  end
  return {status = "Healthy", message = said("Promoted")}
end
return {status = "Progressing", message = said("Ready")}

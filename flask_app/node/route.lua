-- Orthanc's rule: every new film goes to the node; its own reports and captures do not.
function OnStoredInstance(instance, tags, metadata, origin)
  if tags['Modality'] ~= 'SR' and origin['RemoteAet'] ~= 'KNEEOA' then
    SendToModality(instance, 'node')
  end
end

"""What a pod waits for."""

from __future__ import annotations

from securemodel_operator.objects import Object

# the kubelet is about it
STARTING = ("ContainerCreating", "PodInitializing")


def waits_for(pods: list[Object]) -> str | None:
    """Why the pod of a player or a Job is not ready, in one line; None if it is."""
    if not pods:
        return "no pod yet"
    pod, status = pods[0], pods[0].get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}

    ready = conditions.get("Ready", {}).get("status") == "True"
    if ready and "deletionTimestamp" not in pod["metadata"]:
        return None
    first = status.get("initContainerStatuses", [])
    for container in (*first, *status.get("containerStatuses", [])):
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in STARTING:
            return f"{waiting.get('reason')}: {waiting.get('message', '')}".strip(": ")
    unscheduled = conditions.get("PodScheduled", {})
    if unscheduled.get("status") == "False":
        return f"{unscheduled.get('reason', 'Unschedulable')}: {unscheduled.get('message', '')}"
    running = (f"{one['name']} is running" for one in first if "running" in one.get("state", {}))
    return next(running, "starting")

"""Where tasks and actors of Ray go: rampmeter's placer over the nodes of a cluster.

Ray starts what it is told where it is told; the fleet here is the caller's account of what it has
placed. Which of a node's GPUs a task gets is Ray's choice: only how many, or how much of one, is
said.
"""

import importlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rampmeter import Placer, Policy
from rampmeter.place import Device, Hold, Node, NoRoom, Task

from .desk import policy_of

__all__ = ["Placement", "RayFleet", "label_selectors"]

MIB = 1 << 20
LABELS_MAX = 64
"""Kinds of label that the placer tells apart: bits of a word."""

NODE_LABEL = "ray.io/node-id"
ZONE_LABEL = "ray.io/availability-zone"
ACCELERATOR = "accelerator_type:"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the members of a task go, by the ids of Ray's nodes, each with what it takes."""

    task: int
    node_ids: tuple[str, ...]
    bundle: Mapping[str, float]

    def strategies(self, *, soft: bool = False) -> list[Any]:
        """Give a `NodeAffinitySchedulingStrategy` for each member."""
        module = importlib.import_module("ray.util.scheduling_strategies")
        affinity = module.NodeAffinitySchedulingStrategy
        return [affinity(node_id=node_id, soft=soft) for node_id in self.node_ids]

    def label_selectors(self) -> list[dict[str, str]]:
        """Give a selector for each member: `.options(label_selector=...)`."""
        return label_selectors(self.node_ids)

    def bundles(self) -> dict[str, Any]:
        """Give the arguments of `ray.util.placement_group`: a bundle for each member."""
        return {
            "bundles": [dict(self.bundle) for _ in self.node_ids],
            "bundle_label_selector": self.label_selectors(),
            "strategy": "PACK",
        }


def label_selectors(node_ids: Iterable[str]) -> list[dict[str, str]]:
    """Give selectors that only these nodes have."""
    return [{NODE_LABEL: node_id} for node_id in node_ids]


class RayFleet:
    """A placer whose nodes are those of a Ray cluster.

    Call `update(ray.nodes())` before placing where nodes may have come or gone. `rack_label` names
    the label that says which nodes are next to each other; zones are those of
    "ray.io/availability-zone".

    >>> from rampmeter.integrations.ray import RayFleet
    >>> fleet = RayFleet()
    >>> node = {"NodeID": "a1", "Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}, "Labels": {}}
    >>> fleet.update([node])
    []
    >>> fleet.place(num_cpus=1, num_gpus=1).node_ids
    ('a1',)
    >>> fleet.place(num_gpus=2).lack
    'devices'
    """

    def __init__(
        self,
        policy: Policy | str | None = None,
        *,
        rack_label: str = "rack",
        clock: Callable[[], int] = time.monotonic_ns,
        **options: Any,
    ) -> None:
        """Make one without nodes; options are the placer's."""
        self.placer = Placer(policy_of(policy), **options)
        self._rack_label = rack_label
        self._clock = clock
        self._handles: dict[str, int] = {}
        self._ids: dict[int, str] = {}
        self._numbers: dict[str, dict[str, int]] = {}
        self._tasks: dict[int, Placement] = {}

    def update(self, nodes: Iterable[Mapping[str, Any]]) -> list[int]:
        """Take the nodes that there are, as `ray.nodes()` has them: tasks that lost a member."""
        lost: list[int] = []
        alive = {node["NodeID"]: node for node in nodes if node["Alive"]}
        for node_id in [node_id for node_id in self._handles if node_id not in alive]:
            handle = self._handles.pop(node_id)
            tasks = self.placer.fail_node(handle)
            lost += tasks
            for task in tasks:
                self.release(task)
            del self._ids[handle]
            self.placer.remove_node(handle)
        for node_id, node in alive.items():
            if node_id not in self._handles:
                handle = self.placer.add_node(self._node(node))
                self._handles[node_id], self._ids[handle] = handle, node_id
        return lost

    def _node(self, node: Mapping[str, Any]) -> Node:
        resources, labels = node.get("Resources", {}), node.get("Labels", {})
        models = [name for name in resources if name.startswith(ACCELERATOR)]
        device = Device(model=self._number("model", models[0]) if models else 0)
        rack = labels.get(self._rack_label)
        return Node(
            cpu_milli=round(resources.get("CPU", 0.0) * 1000),
            memory_mib=int(resources.get("memory", 0.0)) // MIB,
            devices=[device] * int(resources.get("GPU", 0.0)),
            labels=self._bits(labels),
            rack=self._number("rack", rack if rack is not None else node["NodeID"]),
            zone=self._number("zone", labels.get(ZONE_LABEL, "")),
        )

    def _number(self, kind: str, name: str) -> int:
        """Numbers of names, as they come."""
        numbers = self._numbers.setdefault(kind, {"": 0} if kind in ("zone", "model") else {})
        return numbers.setdefault(name, len(numbers))

    def _bits(self, labels: Mapping[str, str]) -> int:
        bits = 0
        for key, value in labels.items():
            # A name of a node is no kind of node.
            if key == NODE_LABEL:
                continue
            place = self._number("label", f"{key}={value}")
            bits |= 1 << place if place < LABELS_MAX else 0
        return bits

    def _wanted(self, labels: Mapping[str, str] | None) -> int:
        known, bits = self._numbers.get("label", {}), 0
        for key, value in (labels or {}).items():
            place = known.get(f"{key}={value}", LABELS_MAX)
            if place >= LABELS_MAX:
                raise LookupError(f"no node has the label {key}={value}, or there are too many")
            bits |= 1 << place
        return bits

    def place(
        self,
        *,
        num_cpus: float = 0.0,
        num_gpus: float = 0.0,
        memory: int = 0,
        members: int = 1,
        accelerator_type: str | None = None,
        labels: Mapping[str, str] | None = None,
        **task: Any,
    ) -> Placement | NoRoom:
        """Place a task, or a gang of `members`, that each take so much, in Ray's units.

        Below one GPU it is a share of one. `labels` are required of the nodes. Other fields are
        those of `rampmeter.place.Task`: `within="zone"`, `spread_group=1`, `duration_ns=...`.
        """
        if accelerator_type is not None:
            task["models"] = [self._number("model", ACCELERATOR + accelerator_type)]
        answer = self.placer.place(
            self._clock(),
            Task(
                cpu_milli=round(num_cpus * 1000),
                memory_mib=-(-memory // MIB),
                members=members,
                labels_required=self._wanted(labels),
                **_devices(num_gpus),
                **task,
            ),
        )
        if isinstance(answer, NoRoom):
            return answer
        bundle = {"CPU": num_cpus, "GPU": num_gpus, "memory": float(memory)}
        placement = Placement(
            answer.task,
            self._names(answer.members),
            {name: amount for name, amount in bundle.items() if amount > 0},
        )
        self._tasks[answer.task] = placement
        return placement

    def _names(self, holds: Sequence[Hold]) -> tuple[str, ...]:
        return tuple(self._ids[hold.node] for hold in holds)

    def release(self, task: int) -> None:
        """End a task: what it held is free."""
        self.placer.release(self._clock(), task)
        self._tasks.pop(task, None)


def _devices(num_gpus: float) -> dict[str, Any]:
    if num_gpus <= 0.0:
        return {}
    if num_gpus < 1.0:
        return {"devices": "share", "device_milli": max(round(num_gpus * 1000), 1)}
    if num_gpus != int(num_gpus):
        raise ValueError(f"num_gpus = {num_gpus}: Ray gives parts of one GPU, or whole ones")
    return {"devices": "whole", "device_count": int(num_gpus)}

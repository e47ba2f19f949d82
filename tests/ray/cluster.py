"""Several nodes on one machine: tasks run where the placer says; routers on two nodes share."""

import time

import ray
from ray.cluster_utils import Cluster
from ray.util import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from rampmeter.integrations.ray import RayFleet, RequestDesk, hub_actor


@ray.remote
def where():
    return ray.get_runtime_context().get_node_id()


def placed(fleet):
    """Members of a gang run where it was said, in each way of saying so."""
    gang = fleet.place(
        num_cpus=1,
        num_gpus=1,
        members=2,
        spread_group=1,
        spread_domain="node",
        spread_members_max=1,
    )
    assert len(set(gang.node_ids)) == 2
    options = [{"scheduling_strategy": strategy} for strategy in gang.strategies()]
    options += [{"label_selector": selector} for selector in gang.label_selectors()]
    asked = [where.options(num_gpus=1, **one).remote() for one in options]
    assert ray.get(asked, timeout=60) == list(gang.node_ids) * 2
    group = placement_group(**gang.bundles())
    ray.get(group.ready(), timeout=60)
    asked = [
        where.options(
            num_gpus=1,
            scheduling_strategy=PlacementGroupSchedulingStrategy(
                group, placement_group_bundle_index=place
            ),
        ).remote()
        for place in range(2)
    ]
    assert tuple(ray.get(asked, timeout=60)) == gang.node_ids
    remove_placement_group(group)
    fleet.release(gang.task)
    print("ray: a gang of 2 ran where it was placed, by affinity, by label and by bundle")


def kinds(fleet):
    """Labels and shares of a GPU are kept to."""
    fast = fleet.place(num_gpus=0.5, labels={"disk": "nvme"})
    (node_id,) = fast.node_ids
    labels = {node["NodeID"]: node["Labels"] for node in ray.nodes()}
    assert labels[node_id]["disk"] == "nvme"
    assert ray.get(where.options(num_gpus=0.5, **label(fast)).remote(), timeout=60) == node_id
    assert fleet.place(num_gpus=2, labels={"disk": "nvme"}).lack == "devices"
    fleet.release(fast.task)
    print("ray: half a GPU of a node with a label")


def label(placement):
    return {"label_selector": placement.label_selectors()[0]}


@ray.remote(num_cpus=0)
class Door:
    """A router without requests of its own."""

    def __init__(self):
        self.desk = RequestDesk(replicas_max=2, blocks_max=1024, sets_max=1024)
        self.hub = hub_actor("app", "deployment")
        self.member = ray.get(self.hub.join.remote())
        number, incarnation, letters = self.member
        self.desk.ledger.set_replica(number, incarnation=incarnation)
        self.desk.heard(letters)

    def serve(self, path, cost):
        self.desk.ledger.charge(self.desk.account(path), cost)

    def tell(self):
        heard = self.hub.exchange.remote(
            self.member.number,
            self.member.incarnation,
            self.desk.letter(full=False),
            full=False,
        )
        self.desk.heard(ray.get(heard))

    def served(self, path):
        return self.desk.ledger.service(self.desk.account(path))


def shared(node_ids):
    """What one door serves counts at the other, on another node."""
    doors = [
        Door.options(label_selector={"ray.io/node-id": node_id}).remote() for node_id in node_ids
    ]
    ray.get([doors[0].serve.remote("org/team", 100.0), doors[1].serve.remote("org/team", 23.0)])
    for _ in range(2):
        for door in doors:
            ray.get(door.tell.remote(), timeout=60)
    served = ray.get([door.served.remote("org/team") for door in doors])
    assert served == [123.0, 123.0], served
    print(f"ray: two doors on {len(set(node_ids))} nodes agree on {served[0]:.0f} served")


def lost(cluster, fleet, worker):
    """A node that is lost takes its tasks along, and nothing more is placed there."""
    gang = fleet.place(num_gpus=2, members=2)
    cluster.remove_node(worker)
    until = time.monotonic() + 60.0
    gone = []
    while not gone and time.monotonic() < until:
        time.sleep(0.5)
        gone = fleet.update(ray.nodes())
    assert gone == [gang.task]
    assert len(fleet.place(num_gpus=2).node_ids) == 1
    assert fleet.place(num_gpus=2).lack == "devices"
    print("ray: a lost node was noticed, and its gang")


def main():
    common = {"num_cpus": 2, "num_gpus": 2, "object_store_memory": 80 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**common, "num_gpus": 0})
    one = cluster.add_node(**common, labels={"rack": "r1"})
    cluster.add_node(**common, labels={"rack": "r2", "disk": "nvme"})
    ray.init(address=cluster.address, log_to_driver=False)
    fleet = RayFleet(nodes_max=8)
    assert fleet.update(ray.nodes()) == []
    assert fleet.placer.fleet_stats().total.devices == 4
    placed(fleet)
    kinds(fleet)
    shared([node["NodeID"] for node in ray.nodes() if node["Resources"].get("GPU")])
    lost(cluster, fleet, one)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()

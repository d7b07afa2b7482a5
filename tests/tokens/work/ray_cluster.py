"""A Ray cluster of two nodes with a core each: prints its address, loses a node at a line, ends with its input.

A process of its own: Ray ends any process that has been joined to a cluster, a minute after that cluster has gone.
"""

import sys

from ray.cluster_utils import Cluster

_MEMORY = 200_000_000

cluster = Cluster(
    initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": _MEMORY, "include_dashboard": False}
)
second = cluster.add_node(num_cpus=1, object_store_memory=_MEMORY)
print(cluster.address, flush=True)
if sys.stdin.readline():
    cluster.remove_node(second, allow_graceful=False)
    print("lost", flush=True)
    sys.stdin.readline()
cluster.shutdown()

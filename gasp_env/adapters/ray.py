"""A sandbox on many machines: its workers are on the nodes of a Ray cluster, one actor a node.

    import ray
    from gasp_env.adapters.ray import RaySandbox

    ray.init("auto")
    env = gym.make_vec("gasp_env:GASP-Code-v0", num_envs=64, sandbox=RaySandbox())

or by name: ``sandbox="gasp_env.adapters.ray:RaySandbox"``, ``--sandbox gasp_env.adapters.ray:RaySandbox``.

It is a `gasp_env.sandbox.Sandbox`: batches, duplicates, cache and canaries are its own, and so is the sharing out of
runs, to whichever worker has answered. Only where a worker lies is different. A node's actor opens workers of the tier
there, and passes the frames of each on, through a connection of its own to this process. When a node is lost, so are
its connections, and runs that were in flight on it are executed on others, as after any death of a worker; if none is
left for a minute, they are ``infra_error``, which is no verdict.

Every node needs this package and the tier (for ``docker``, an engine and the image, which
``python -m gasp_env.sandbox build`` makes), and has to be reached from this process at a port of its choice. A
connection begins with a secret that only the two sides know, as the port is open to the network; what it carries after
that is not encrypted, so keep the nodes in one trusted network, as Ray itself asks.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
import select
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gasp_env.sandbox import Sandbox, SandboxError, tiers
from gasp_env.sandbox.errors import WorkerLost
from gasp_env.sandbox.sandbox import processors
from gasp_env.sandbox.tiers.stream_worker import StreamWorker
from gasp_env.sandbox.tiers.worker import Settings, Worker
from sandbox_image.worker import wire

#: Seconds for a node's actor to begin, to open a worker, and to be reached.
_BEGIN_SECONDS, _OPEN_SECONDS, _CONNECT_SECONDS = 60.0, 120.0, 20.0
_SECRET_BYTES = 32
#: Bytes read at once, and bytes that wait for one side before the other is read no further.
_CHUNK, _BUFFER = 2**20, 2**24


class RaySandbox(Sandbox):
    """A sandbox whose workers lie on the nodes of the Ray cluster that this process has joined.

    Args:
        tier: of all workers; ``auto`` is the safest that opens on the first node.
        workers_per_node: programs executed at once on a node; by default one per processor of the node that its actor
            may use.
        options: other arguments of `gasp_env.sandbox.Sandbox`.

    Raises:
        ValueError: as for `gasp_env.sandbox.Sandbox`.
    """

    def __init__(self, tier: str = "auto", workers_per_node: int | None = None, **options: Any) -> None:
        if workers_per_node is not None and workers_per_node < 1:
            raise ValueError(f"workers_per_node must be at least 1, not {workers_per_node}")
        super().__init__(tier, **options)
        self._made = {"tier": tier, "workers_per_node": workers_per_node, **options}
        self._cluster = _Cluster(self._settings, workers_per_node)
        self._open_worker = self._cluster.open

    def open(self) -> None:
        """See `gasp_env.sandbox.Sandbox.open`."""
        self._size = max(1, self._cluster.places())
        super().open()

    def _ensure_open(self) -> Any:
        if self._dispatcher is None:
            self._size = max(1, self._cluster.places())
        return super()._ensure_open()

    @property
    def nodes(self) -> dict[str, int]:
        """Open workers by node, of nodes that are in use."""
        return self._cluster.in_use()


@dataclass
class _Node:
    """A node with an actor: how many workers it can have, and which it has."""

    actor: Any
    places: int
    workers: set[int]


class _Cluster:
    """The nodes, and who opens workers on them. Safe to use from several threads."""

    def __init__(self, settings: Settings, workers_per_node: int | None) -> None:
        self._settings, self._workers_per_node = settings, workers_per_node
        self._nodes: dict[str, _Node] = {}
        self._lock = threading.Lock()
        self._numbers = 0

    def places(self) -> int:
        """Workers that the present nodes can have; actors are started on nodes that are new.

        Raises:
            SandboxError: this process has joined no cluster.
        """
        with self._lock:
            self._refresh()
            return sum(node.places for node in self._nodes.values())

    def in_use(self) -> dict[str, int]:
        with self._lock:
            return {name: len(node.workers) for name, node in self._nodes.items() if node.workers}

    def open(self, tier: str) -> Worker:
        """Open a worker on the node with the most free places.

        Raises:
            SandboxError: there is no free place, or no worker opens on the node; the message says where.
        """
        with self._lock:
            self._refresh()
            free = {name: node.places - len(node.workers) for name, node in self._nodes.items()}
            name = max(free, key=lambda one: free[one], default="")
            if not name or free[name] < 1:
                raise SandboxError(f"none of the {len(free)} nodes of the Ray cluster has a free place")
            self._numbers += 1
            number, node = self._numbers, self._nodes[name]
            node.workers.add(number)
        try:
            opened = ray.get(node.actor.open.remote(tier), timeout=_OPEN_SECONDS)
            if isinstance(opened, str):
                raise SandboxError(f"node {name}: {opened}")
            return _RemoteWorker(self._settings, opened, lambda: self._closed(name, number))
        except BaseException as error:
            self._closed(name, number)
            if not isinstance(error, RayError | OSError | WorkerLost):
                raise
            self._lose(name)
            raise SandboxError(f"node {name} of the Ray cluster is lost: {error}") from error

    def _closed(self, name: str, number: int) -> None:
        with self._lock:
            if name in self._nodes:
                self._nodes[name].workers.discard(number)

    def _lose(self, name: str) -> None:
        """Forget a node's actor; if the node is still there, it gets another."""
        with self._lock:
            self._nodes.pop(name, None)

    def _refresh(self) -> None:
        if not ray.is_initialized():
            try:  # of RAY_ADDRESS, or one on this machine
                ray.init("auto", log_to_driver=False)
            except (ConnectionError, RuntimeError) as error:
                raise SandboxError(
                    f"expected a Ray cluster, found none to join ({' '.join(str(error).split())[:200]}): start one, or "
                    'call ray.init("auto") before the first run'
                ) from None
        listed: Any = ray.nodes
        alive = {node["NodeID"]: node["NodeManagerAddress"] for node in listed() if node["Alive"]}
        for name in [name for name in self._nodes if name not in alive]:
            del self._nodes[name]
        remote: Any = ray.remote
        made = remote(num_cpus=0, max_concurrency=256)(_Actor)
        started = {}
        for name, address in alive.items():
            if name not in self._nodes:
                where = NodeAffinitySchedulingStrategy(name, soft=False)
                started[name] = made.options(scheduling_strategy=where).remote(self._settings, address)
        for name, actor in started.items():
            with contextlib.suppress(RayError):  # it has gone in the meantime
                places = ray.get(actor.places.remote(), timeout=_BEGIN_SECONDS)
                self._nodes[name] = _Node(actor, self._workers_per_node or places, set())


class _Actor:
    """Opens workers on its node, and passes their frames on; a Ray actor."""

    def __init__(self, settings: Settings, address: str) -> None:
        self._settings, self._address = settings, address

    def places(self) -> int:
        """Workers that fit the node."""
        return processors()

    def open(self, tier: str) -> Mapping[str, Any] | str:
        """Open a worker that waits for one connection; what `_RemoteWorker` needs to know, or why there is none."""
        try:
            worker = tiers.open_worker(tier, self._settings)
        except SandboxError as error:
            return str(error)
        secret = secrets.token_bytes(_SECRET_BYTES)
        listener = socket.create_server((self._address, 0))
        thread = threading.Thread(target=_serve, args=(worker, listener, secret), daemon=True)
        thread.start()
        return {
            "tier": worker.tier,
            "hello": worker.hello,
            "identity": worker.identity,
            "walls": worker.walls,
            "fixes": dict(worker.fixes),
            "address": listener.getsockname()[:2],
            "secret": secret,
        }


def _serve(worker: Worker, listener: socket.socket, secret: bytes) -> None:
    """Connect a worker with the one who knows the secret, until either ends."""
    try:
        with listener:
            listener.settimeout(_CONNECT_SECONDS)
            connection = _welcome(listener, secret)
        with connection:
            _relay(connection, worker)
    except (OSError, ValueError, WorkerLost):
        pass  # the other side sees the end of the connection
    finally:
        worker.close()


def _welcome(listener: socket.socket, secret: bytes) -> socket.socket:
    """The first connection that begins with the secret; others are closed."""
    while True:
        connection, _ = listener.accept()
        try:
            connection.settimeout(_CONNECT_SECONDS)
            given = b""
            while len(given) < _SECRET_BYTES and (part := connection.recv(_SECRET_BYTES - len(given))):
                given += part
            if hmac.compare_digest(given, secret):
                connection.settimeout(None)
                return connection
        except OSError:
            pass
        connection.close()


def _relay(connection: socket.socket, worker: Worker) -> None:
    """Pass bytes on in both directions until the connection ends.

    Raises:
        WorkerLost: the worker has ended.
        OSError: the connection is broken.
    """
    connection.setblocking(False)
    to_worker, to_host = bytearray(), bytearray()
    poll = select.poll()
    while True:
        for stream, incoming, outgoing in ((connection, to_worker, to_host), (worker, to_host, to_worker)):
            wanted = select.POLLIN if len(incoming) < _BUFFER else 0
            poll.register(stream, wanted | (select.POLLOUT if outgoing else 0))
        for descriptor, events in poll.poll():
            if not events & ~select.POLLOUT:
                continue
            if descriptor == connection.fileno():
                with contextlib.suppress(BlockingIOError):
                    data = connection.recv(_CHUNK)
                    if not data:
                        return
                    to_worker += data
            else:
                for frame in worker.receive():
                    to_host += wire.frame(frame)
        for buffer, send in ((to_worker, worker.send), (to_host, connection.send)):
            sent = 0
            if buffer:
                with memoryview(buffer) as view, contextlib.suppress(BlockingIOError):
                    sent = send(view)
            del buffer[:sent]


class _RemoteWorker(StreamWorker):
    """A worker on another node, seen from here; the tier is that of the worker there."""

    def __init__(self, settings: Settings, opened: Mapping[str, Any], closed: Any) -> None:
        """Connect with a worker that waits for it.

        Raises:
            OSError: it cannot be reached.
        """
        self.tier = opened["tier"]
        super().__init__(settings)
        self.hello, self.identity = dict(opened["hello"]), opened["identity"]
        self.walls, self.fixes = opened["walls"], opened["fixes"]
        self._closed = closed
        self._socket = socket.create_connection(tuple(opened["address"]), timeout=_CONNECT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._socket.sendall(opened["secret"])
        self._socket.setblocking(False)

    def close(self) -> None:
        """See `Worker.close`."""
        super().close()
        self._closed()

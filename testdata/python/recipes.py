"""kazoo's recipes against a ZooKeeper server: ADDRESS. Prints `ok NAME` for each that did its job."""
import sys
import threading
from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError, NodeExistsError

address = sys.argv[1]
zk = KazooClient(hosts=address, timeout=10)
other = KazooClient(hosts=address, timeout=10)
zk.start(), other.start()

zk.ensure_path("/kazoo")
zk.create("/kazoo/n", b"1")
try:
    zk.create("/kazoo/n", b"2")
    sys.exit("a second create succeeded")
except NodeExistsError:
    pass
stat = zk.set("/kazoo/n", b"2")
try:
    zk.set("/kazoo/n", b"3", version=stat.version - 1)
    sys.exit("a stale set succeeded")
except BadVersionError:
    print("ok versions")

seen = threading.Event()
zk.get("/kazoo/n", watch=lambda event: seen.set())
other.set("/kazoo/n", b"4")
if not seen.wait(10):
    sys.exit("no watch event")
print("ok watch")

lock, order = zk.Lock("/kazoo/lock", "a"), []
with lock:
    waiting = threading.Thread(target=lambda: other.Lock("/kazoo/lock", "b").acquire() and order.append("b"))
    waiting.start()
    while len(lock.contenders()) < 2:
        pass
    order.append("a")
waiting.join(10)
assert order == ["a", "b"], order
print("ok lock")

with zk.transaction() as t:
    t.create("/kazoo/t", b"")
    t.set_data("/kazoo/t", b"x")
    t.delete("/kazoo/n")
assert zk.get("/kazoo/t")[0] == b"x" and not zk.exists("/kazoo/n")
print("ok transaction")

counter = zk.Counter("/kazoo/counter")
counter += 2
assert other.Counter("/kazoo/counter").value == 2
print("ok counter")

other.create("/kazoo/e", ephemeral=True)
gone = threading.Event()
zk.exists("/kazoo/e", watch=lambda event: gone.set())
other.stop()
if not gone.wait(10) or zk.exists("/kazoo/e"):
    sys.exit("an ephemeral outlived its session")
print("ok ephemeral")
zk.stop()

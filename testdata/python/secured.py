"""kazoo on a secured ZooKeeper server: ADDRESS SECURE CA KEY. Logs in with SASL DIGEST-MD5 as alice, shows a certificate over TLS.
Prints `ok NAME` for each."""
import sys
from kazoo.client import KazooClient
from kazoo.exceptions import AuthFailedError, ConnectionClosedError, NoAuthError, SessionExpiredError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.security import ACL, CREATOR_ALL_ACL, Id, make_acl

address, secure, ca, key = sys.argv[1:]


def sasl(password):
    return KazooClient(hosts=address, timeout=10, sasl_options={"mechanism": "DIGEST-MD5", "username": "alice", "password": password})


alice = sasl("alice-secret")
alice.start()
alice.create("/kazoo-sasl", b"1", acl=CREATOR_ALL_ACL)
assert alice.get_acls("/kazoo-sasl")[0] == [ACL(31, Id("sasl", "alice"))], alice.get_acls("/kazoo-sasl")
anyone = KazooClient(hosts=address, timeout=10)
anyone.start()
try:
    anyone.get("/kazoo-sasl")
    sys.exit("somebody else may read")
except NoAuthError:
    print("ok sasl")

wrong = sasl("wrong")
try:
    wrong.start(timeout=5)
    wrong.get("/kazoo-sasl")
    sys.exit("a wrong password was taken")
except (AuthFailedError, NoAuthError, ConnectionClosedError, SessionExpiredError, KazooTimeoutError):
    print("ok wrong password")
    wrong.stop()

tls = KazooClient(hosts=secure, timeout=10, use_ssl=True, ca=ca, certfile=key, keyfile=key, check_hostname=False)
tls.start()
tls.create("/kazoo-tls", b"1", acl=[make_acl("x509", "CN=client,O=Acme", all=True)])
tls.set("/kazoo-tls", b"2")
try:
    anyone.get("/kazoo-tls")
    sys.exit("somebody else may read")
except NoAuthError:
    print("ok tls")

for client in (tls, anyone, alice):
    client.stop()

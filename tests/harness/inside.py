"""Programs for the throw-away machine: a client in its network, and one that tries what its unit forbids."""

from __future__ import annotations

CHAT = """
import http.client, json
def chat(model="mock/echo", **members):
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}], **members})
    connection = http.client.HTTPConnection("127.0.0.1", 8655, timeout=10)
    connection.request("POST", "/v1/chat/completions", body,
                       {"Content-Type": "application/json", "Authorization": "Bearer sk-alice"})
    reply = connection.getresponse()
    return reply.status, reply.read().decode()
"""
# What a process under the unit finds it can do.
PROBE = """
import ctypes, json, mmap, os, socket, sys
def works(what):
    try:
        what()
    except (OSError, ValueError) as error:
        return type(error).__name__ + " " + os.strerror(error.errno or 0)
    return "works"
state = os.environ["STATE_DIRECTORY"]
executable = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
found = {
    "write its state": works(lambda: open(state + "/probe", "w")),
    "read the configuration": works(lambda: open("/etc/tollkeeper/config.yaml")),
    "read a credential": works(lambda: open(os.environ["CREDENTIALS_DIRECTORY"] + "/tollkeeper.openrouter")),
    "read what process metrics need": works(lambda: (open("/proc/stat"), open("/proc/self/stat"), os.listdir("/proc/self/fd"))),
    "use the network": works(lambda: socket.socket(socket.AF_INET6)),
    "write the configuration": works(lambda: open("/etc/tollkeeper/config.yaml", "a")),
    "read the environment file": works(lambda: open("/etc/default/tollkeeper")),
    "look into homes": works(lambda: os.listdir("/root")),
    "see the system's /tmp": works(lambda: open("/tmp/of-the-system")),
    "give files away": works(lambda: os.chown(state + "/probe", 0, 0)),
    "make code while running": works(lambda: mmap.mmap(-1, 4096, prot=executable)),
    "speak to the kernel's netlink": works(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
    "see other processes": works(lambda: open("/proc/1/stat")),
    "raise its priority": works(lambda: os.setpriority(os.PRIO_PROCESS, 0, -5)),
    "make a namespace": works(lambda: os.unshare(0x10000000)) if hasattr(os, "unshare") else "PermissionError",
}
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
found["status"] = {name: status[name] for name in ("Seccomp", "NoNewPrivs", "CapEff", "CapPrm", "CapBnd", "CapAmb")}
json.dump(found, sys.stdout)
"""

MANY = (
    CHAT
    + """
import signal
going, answered, refused, broken = True, 0, 0, 0
def stop(*_):
    global going
    going = False
signal.signal(signal.SIGTERM, stop)
print("calling", flush=True)
while going:
    try:
        status = chat()[0]
        answered += status == 200
        refused += status != 200
    except ConnectionRefusedError:
        refused += 1
    except (ConnectionError, http.client.HTTPException):
        broken += 1
print(json.dumps({"answered": answered, "refused": refused, "broken": broken}))
"""
)

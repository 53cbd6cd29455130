"""Ranks on two hosts: network namespaces, joined by a cable, of which the second does not see the run's folder."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.minigrad.parallel.launched import LIMIT, NEEDS_MPI, ROOT, alive, children, command, environment, ranks
from tests.minigrad.parallel.test_same_run import losses
from tests.minigrad.same_run import weights

pytestmark = NEEDS_MPI
ADDRESSES = ("10.213.7.1", "10.213.7.2")
OPTIONS = ("--device", "cpu", "--image-size", "28", "--batch-size", "9", "--train-limit", "40", "--test-limit", "30",
           "--epochs", "2", "--threads", "1", "--checkpoint-every", "3")  # fmt: skip
REMOTE_SHELL = """#!/bin/sh
# Called as rsh is: ADDRESS COMMAND. On that host the run's folder is empty.
host=$1
shift
exec ip netns exec "{prefix}$host" sh -c "mount -t tmpfs none '{out}' && $*"
"""


OVER_THE_CABLE = {"UCX_TLS": "tcp,self", "FI_PROVIDER": "tcp"}
"""For MPICH's two ways to other hosts: their memory is not shared, though here it could be."""


class Hosts(NamedTuple):
    """names: of the two. options: for mpiexec. out: the run's folder."""

    names: list[str]
    options: list[str]
    out: Path

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line of the test program with a rank on each."""
        mpiexec, *rest = command(2, *arguments)
        return ["ip", "netns", "exec", self.names[0], mpiexec, *self.options, *rest]

    def received(self) -> int:
        """Bytes that the first has from the second."""
        return int(ip("netns", "exec", self.names[0], "cat", "/sys/class/net/cable/statistics/rx_bytes"))


def ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    prefix = f"minigrad-{os.getpid()}-"
    names = [prefix + address for address in ADDRESSES]
    try:
        try:
            for name in names:
                ip("netns", "add", name)
            ip("link", "add", "cable", "netns", names[0], "type", "veth", "peer", "name", "cable", "netns", names[1])
        except OSError as error:
            pytest.skip(f"two network namespaces as two hosts need root's rights: {error}")
        for name, address in zip(names, ADDRESSES, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "addrgenmode", "none", "up")  # one address, and ready at once
            ip("-n", name, "link", "set", "lo", "up")
        began = time.perf_counter()
        while not all("state UP" in ip("-n", name, "link", "show", "cable") for name in names):
            assert time.perf_counter() - began < LIMIT
            time.sleep(0.01)
        out, shell, hostfile = (tmp_path / name for name in ("run", "rsh", "hosts.txt"))
        out.mkdir()
        shell.write_text(REMOTE_SHELL.format(prefix=prefix, out=out))
        shell.chmod(0o755)
        hostfile.write_text("".join(f"{address}:1\n" for address in ADDRESSES))
        remote = ["-launcher", "rsh", "-launcher-exec", str(shell), "-iface", "cable"]
        yield Hosts(names, ["-f", str(hostfile), *remote], out)
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], stderr=subprocess.DEVNULL)


def test_two_hosts_learn_what_one_process_learns(hosts: Hosts, tmp_path: Path) -> None:
    """Killed on the second host in between, and resumed; all gradients come over the cable."""
    ranks(0, "small", *OPTIONS, "--out", tmp_path / "alone")
    with pytest.raises(subprocess.CalledProcessError):
        said(hosts.command("small", *OPTIONS, "--out", hosts.out), MINIGRAD_TEST_FAULT="kill 1 7")
    assert len(losses(hosts.out)) == 6
    assert "going on from epoch 2, after step 6" in said(hosts.command("small", "--resume", hosts.out))
    np.testing.assert_allclose(losses(hosts.out), losses(tmp_path / "alone"), rtol=1e-4)
    (hosts.out / "pictures").mkdir()  # which the second host does not have
    gallery = hosts.out / "pictures" / "mistakes.png"
    assert "on 200 test" in said(hosts.command("small", "evaluate", hosts.out, "--gallery", gallery))
    assert gallery.exists()
    gradients = sum(array.nbytes for name, array in weights(hosts.out).items() if name.startswith("model."))
    assert hosts.received() > len(losses(hosts.out)) * gradients


def said(command: Sequence[str], **variables: str) -> str:
    """What it says; CalledProcessError unless its status is 0."""
    return subprocess.run(
        command, env=environment(**OVER_THE_CABLE, **variables), cwd=ROOT, stdin=subprocess.DEVNULL, text=True,
        stdout=subprocess.PIPE, timeout=LIMIT, check=True,
    ).stdout  # fmt: skip


def test_a_cable_that_is_cut_ends_both(hosts: Hosts) -> None:
    launched = subprocess.Popen(
        hosts.command("small", *OPTIONS, "--epochs", "500", "--out", hosts.out), cwd=ROOT, text=True,
        env=environment(**OVER_THE_CABLE, MINIGRAD_TEST_PATIENCE="3"), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert launched.stdout is not None
    while not launched.stdout.readline().startswith("epoch 2"):
        assert launched.poll() is None
    both = children(launched.pid)
    assert len(both) == 2
    ip("-n", hosts.names[1], "link", "set", "cable", "down")
    began = time.perf_counter()
    assert "rank 0: error: waited 3 s for" in launched.communicate(timeout=LIMIT)[1]
    while any(map(alive, both)):
        assert time.perf_counter() - began < LIMIT
        time.sleep(0.1)

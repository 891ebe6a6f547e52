# SPDX-License-Identifier: BSD-3-Clause
"""The lab's network: three namespaces, two veth pairs, and what stands between them.

    outside (the Internet)          box                       inside (the protected host)
    10.20.0.2  fd00:20::2    eth0 --- out0 | br0 | in0 --- eth0   10.20.0.10  fd00:20::10

Sources by the thousand: 10.20.64.0/18 and fd00:21::/48 are local to the outside host as a whole (one route each), and
the inside host reaches them through it, as it would reach strangers through a router. That keeps the kernel's
neighbour table (1,024 entries) out of the measurement.
"""
import os
import subprocess

PREFIX4, PREFIX6 = 16, 64
OUTSIDE4, OUTSIDE6 = "10.20.0.2", "fd00:20::2"
INSIDE4, INSIDE6 = "10.20.0.10", "fd00:20::10"
BOX4, BOX6 = "10.20.0.1", "fd00:20::1"  # wall nftables alone: Seawall and the bridge have no address
ALIASES4, ALIASES6 = "10.20.64.0/18", "fd00:21::/48"
HOSTS = ("outside", "box", "inside")

# The tracker's host as it was in 2008. The last one: Linux would else keep a quarter of its backlog for peers that
# it knows, which no kernel of that year did.
HOST_2008 = {
    "net.ipv4.tcp_syncookies": "0",
    "net.ipv4.tcp_max_syn_backlog": "128",
    "net.core.somaxconn": "128",
    "net.ipv4.tcp_no_metrics_save": "1",
}

NFT_SYNPROXY = """
table inet seawall_lab {
    chain prerouting {
        type filter hook prerouting priority raw;
        iifname "out0" tcp dport { 20000, 80, 25 } tcp flags & (fin|syn|rst|ack) == syn notrack
    }
    chain forward {
        type filter hook forward priority filter;
        iifname "out0" tcp dport { 20000, 80, 25 } ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm
        ct state invalid drop
    }
}
"""


class LabError(Exception):
    """A sentence for the person in front of the terminal."""


def call(*args, stdin=None):
    """Runs a command; its words and its complaint in the error."""
    done = subprocess.run(args, input=stdin, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise LabError("%s: %s" % (" ".join(args), done.stdout.strip() or "exit status %d" % done.returncode))
    return done.stdout


def netns_path(name):
    return "/run/netns/" + name


def within(name, *args):
    """The command line that runs `args` in the network namespace alone: /sys/fs/bpf stays in sight, other than with
    `ip netns exec`."""
    return ("nsenter", "--net=" + netns_path(name)) + args


def ip_batch(name, lines):
    call(*within(name, "ip", "-batch", "-"), stdin="\n".join(lines) + "\n")


def sysctl(name, settings):
    """Settings that this kernel does not have are skipped: Debian 12's and newer ones differ in a few."""
    script = "".join(
        "[ ! -e {0} ] || echo {1} >{0}\n".format("/proc/sys/" + key.replace(".", "/"), "'%s'" % value)
        for key, value in settings.items())
    call(*within(name, "sh", "-ec", script))


def exists(lab):
    return any(os.path.exists(netns_path("%s-%s" % (lab, host))) for host in HOSTS)


def create(lab, queues=1):
    """Namespaces and wires. The box forwards nothing yet."""
    outside, box, inside = ("%s-%s" % (lab, host) for host in HOSTS)
    for name in (outside, box, inside):
        call("ip", "netns", "add", name)
        sysctl(name, {
            "net.ipv6.conf.all.accept_dad": "0", "net.ipv6.conf.default.accept_dad": "0",
            "net.ipv6.conf.default.accept_ra": "0", "net.ipv6.conf.default.router_solicitations": "0",
            "net.ipv4.conf.all.rp_filter": "0", "net.ipv4.conf.default.rp_filter": "0",
        })
    sysctl(box, {
        "net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1",
        "net.ipv6.conf.lo.disable_ipv6": "0",  # the control daemon listens on ::1 too
        # Bridged frames stay out of netfilter: the plain bridge is to be plain.
        "net.bridge.bridge-nf-call-iptables": "0", "net.bridge.bridge-nf-call-ip6tables": "0",
        "net.bridge.bridge-nf-call-arptables": "0",
    })
    shape = "numtxqueues %d numrxqueues %d" % (queues, queues)
    for host, near in ((outside, "out0"), (inside, "in0")):
        call(*("ip link add eth0 netns %s mtu 1500 %s type veth peer name %s netns %s mtu 1500 %s"
               % (host, shape, near, box, shape)).split())
        # Partial checksums and hardware tags would reach a userspace dataplane as garbage; a wire has neither.
        call(*within(host, "ethtool", "-K", "eth0", "tx", "off", "txvlan", "off", "rxvlan", "off"))
    ip_batch(outside, [
        "link set lo up",
        "addr add %s/%d dev eth0" % (OUTSIDE4, PREFIX4),
        "addr add %s/%d dev eth0 nodad" % (OUTSIDE6, PREFIX6),
        "link set eth0 up",
        "route add local %s dev lo" % ALIASES4,
        "route add local %s dev lo" % ALIASES6,
        "route add blackhole ::/0",  # answers to forged sources vanish, as in the world; IPv4 does so by itself
    ])
    sysctl(outside, {
        "net.ipv6.ip_nonlocal_bind": "1",  # the kernel binds to any address of a local IPv4 route, but not of an IPv6 one
        "net.ipv4.ip_local_port_range": "10000 65000",
        "net.ipv4.tcp_tw_reuse": "1",
    })
    ip_batch(inside, [
        "link set lo up",
        "addr add %s/%d dev eth0" % (INSIDE4, PREFIX4),
        "addr add %s/%d dev eth0 nodad" % (INSIDE6, PREFIX6),
        "link set eth0 up",
        # Answers to forged sources must leave the host, or it would notice that nobody is there.
        "route add default via %s" % OUTSIDE4,
        "route add %s via %s" % (ALIASES4, OUTSIDE4),
        "route add ::/0 via %s dev eth0" % OUTSIDE6,
    ])
    ip_batch(box, ["link set lo up", "link set out0 up", "link set in0 up"])


def bridge(lab):
    """One layer-2 segment: the plain wall, and what Seawall falls back to."""
    ip_batch("%s-box" % lab, [
        "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        "link set out0 master br0",
        "link set in0 master br0",
        "link set br0 up",
    ])


def synproxy_router(lab):
    """The kernel's own synproxy. It answers through the routing table, so it cannot stand in a bridge: the box is a
    router that answers ARP and ND for both ends. The ends keep their addresses; packets cross one hop more."""
    box = "%s-box" % lab
    sysctl(box, {
        "net.ipv6.conf.all.disable_ipv6": "0", "net.ipv6.conf.default.disable_ipv6": "0",
        "net.ipv6.conf.out0.disable_ipv6": "0", "net.ipv6.conf.in0.disable_ipv6": "0",
        "net.ipv6.conf.lo.disable_ipv6": "0",
        "net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1",
        "net.ipv4.conf.out0.proxy_arp": "1", "net.ipv4.conf.in0.proxy_arp": "1",
        # Answer for the other end at once; the default waits up to 0.8 s.
        "net.ipv4.neigh.out0.proxy_delay": "0", "net.ipv4.neigh.in0.proxy_delay": "0",
        "net.ipv6.neigh.out0.proxy_delay": "0", "net.ipv6.neigh.in0.proxy_delay": "0",
        "net.ipv4.conf.all.send_redirects": "0",
        "net.ipv6.conf.out0.proxy_ndp": "1", "net.ipv6.conf.in0.proxy_ndp": "1",
        "net.ipv4.tcp_syncookies": "1", "net.ipv4.tcp_timestamps": "1",
    })
    ip_batch(box, [
        "addr add %s/32 dev lo" % BOX4,
        "addr add %s/128 dev lo nodad" % BOX6,
        "route add %s/32 dev out0" % OUTSIDE4,
        "route add %s/32 dev in0" % INSIDE4,
        "route add default via %s dev out0" % OUTSIDE4,
        "route add %s via %s dev out0" % (ALIASES4, OUTSIDE4),
        "route add %s/128 dev out0" % OUTSIDE6,
        "route add %s/128 dev in0" % INSIDE6,
        "route add ::/0 via %s dev out0" % OUTSIDE6,
        "neigh add proxy %s dev out0" % INSIDE6,
        "neigh add proxy %s dev in0" % OUTSIDE6,
    ])
    # nft's synproxy verifies an IPv6 segment with the IPv4 pseudo header (seen on 6.18) and drops it, unless the sender
    # left the checksum to its device. So the outside host gets its offload back: the peer is to be at its best.
    call(*within("%s-outside" % lab, "ethtool", "-K", "eth0", "tx", "on"))
    call(*within(box, "nft", "-f", "-"), stdin=NFT_SYNPROXY)
    sysctl(box, {"net.netfilter.nf_conntrack_tcp_loose": "0"})  # exists once conntrack is in use


def remove(lab):
    for host in HOSTS:
        name = "%s-%s" % (lab, host)
        if os.path.exists(netns_path(name)):
            call("ip", "netns", "del", name)

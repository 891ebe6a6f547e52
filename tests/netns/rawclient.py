# SPDX-License-Identifier: BSD-3-Clause
"""Raw sockets, and a TCP client made of frames built by hand.

RawClient owns an address that no kernel owns, so that nothing but the case itself answers what is sent to it.
"""

import ctypes
import random
import select
import socket
import struct
import time

from nets import Failure, check
from packets import (ACK, FIN, MASK, OPT_SACK_OK, PSH, RST, SYN, TCP, Segment, ethernet, ip, join_options, mac, opt_mss,
                     opt_timestamps, opt_wscale, parse, tcp_bytes)

ETH_P_ALL = 3
SO_ATTACH_FILTER, PACKET_AUXDATA, SOL_PACKET = 26, 8, 263
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 1 << 4, 1 << 6
PACKET_OUTGOING = 4


class _Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint32)]


def attach_filter(sock, program):
    """`program`: classic BPF as (code, jt, jf, k)."""
    array = (_Filter * len(program))(*program)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                    struct.pack("HL", len(program), ctypes.addressof(array)))


class Wire:
    """A raw socket on one interface. VLAN tags, which the kernel takes out of the frame, are put back."""

    def __init__(self, namespace, interface, to_mac=None, outgoing=False):
        with namespace:
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
            self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            if to_mac:
                # Frames to this MAC and no others, so that a transfer beside us cannot fill the buffer.
                # ld [0]; jeq #first4; ldh [4]; jeq #last2; ret all; ret none
                m = mac(to_mac)
                attach_filter(self.socket, [
                    (0x20, 0, 0, 0), (0x15, 0, 3, int.from_bytes(m[:4], "big")), (0x28, 0, 0, 4),
                    (0x15, 0, 1, int.from_bytes(m[4:], "big")), (0x06, 0, 0, 0x40000), (0x06, 0, 0, 0)])
            self.socket.bind((interface, ETH_P_ALL))
        self.outgoing = outgoing

    def send(self, frame):
        self.socket.send(frame)

    def receive(self, seconds=0.0):
        """The next frame, or None when none came in time."""
        end = time.monotonic() + seconds
        while True:
            ready = select.select([self.socket], [], [], max(0, end - time.monotonic()))[0]
            if not ready:
                return None
            frame, control, _, sender = self.socket.recvmsg(65600, 256)
            if sender[2] == PACKET_OUTGOING and not self.outgoing:
                continue
            for level, kind, data in control:
                if level == SOL_PACKET and kind == PACKET_AUXDATA:
                    status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data[:20])
                    if status & TP_STATUS_VLAN_VALID:
                        if not status & TP_STATUS_VLAN_TPID_VALID:
                            tpid = 0x8100
                        frame = frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
            return frame

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class RawClient:
    """A TCP client outside, on an address and a MAC of its own, that does exactly what the case says.

    It answers neighbour solicitations for its address by itself never: the lab gives the inside host a permanent entry.
    """

    def __init__(self, lab, family, port, sport=None, tags=(), timestamps=True, wscale=7, sack=True, mss=None, isn=None,
                 number=None):
        self.lab, self.family, self.dport, self.tags = lab, family, port, tuple(tags)
        self.address, self.mac = lab.raw_address(family, number)
        self.server = lab.server(family)
        self.sport = sport or random.randrange(20000, 60000)
        self.isn = random.getrandbits(32) if isn is None else isn
        self.seq, self.ack = self.isn, 0
        self.clock = random.getrandbits(31)      # our TSval
        self.echo = 0                            # the peer's last TSval
        self.use_timestamps = timestamps
        self.wscale, self.sack = wscale, sack
        self.mss = mss or (1460 if family == 4 else 1440)
        self.wire = Wire(lab.outside, lab.outside_if, self.mac)
        self.trace = []
        self.extensions = ()
        self.df, self.padding = True, b""        # IPv4: don't fragment; what fills short frames up to 60 bytes
        self.from_mac = None if tags else lab.inside_mac
        self.newest = None                       # TSval of the newest segment of this connection: must not go back
        self.started = time.monotonic()

    # -- sending

    def syn_options(self, *more):
        options = [opt_mss(self.mss)]
        if self.sack:
            options.append(OPT_SACK_OK)
        if self.use_timestamps:
            options.append(opt_timestamps(self.clock))
        if self.wscale is not None:
            options.append(opt_wscale(self.wscale))
        return join_options(*options, *more)

    def segment(self, flags, payload=b"", seq=None, ack=None, options=None, window=2000, **more):
        if options is None:
            options = join_options(opt_timestamps(self.clock, self.echo)) if self.use_timestamps else b""
        seq = self.seq if seq is None else seq & MASK
        ack = 0 if not flags & ACK else self.ack if ack is None else ack & MASK
        return Segment(self.address, self.server, self.sport, self.dport, flags, seq, ack, payload, options, window,
                       self.tags, **more)

    def note(self, direction, text):
        self.trace.append(f"{time.monotonic() - self.started:8.3f} {direction} {text}")
        del self.trace[:-200]

    def send_segment(self, segment, good_checksum=True):
        self.note(">", segment)
        keywords = {"tos": segment.ecn}
        if self.extensions:
            keywords["extensions"] = self.extensions
        if not self.df:
            keywords["df"] = False
        self.send_ip(ip(segment.src, segment.dst, TCP, tcp_bytes(segment, good_checksum), **keywords))
        return segment

    def send_ip(self, packet):
        frame = ethernet(self.lab.inside_mac, self.mac, packet, self.tags)
        self.wire.send(frame + (self.padding * 60)[:max(0, 60 - len(frame))])

    def send(self, flags, payload=b"", **keywords):
        """Sends, and moves our sequence number on unless `seq` names one."""
        segment = self.send_segment(self.segment(flags, payload, **keywords))
        if "seq" not in keywords:
            self.seq = segment.next_seq
        return segment

    # -- receiving

    def receive(self, seconds=5.0, want=None, what="segment"):
        """The next segment of our connection for which want(segment) is true; Failure when none comes."""
        segment = self.receive_or_none(seconds, want)
        if segment is None:
            raise Failure(f"no {what} within {seconds} s; seen:\n{self.history()}")
        return segment

    def receive_or_none(self, seconds, want=None):
        end = time.monotonic() + seconds
        while True:
            frame = self.wire.receive(max(0.0, end - time.monotonic()))
            if frame is None:
                return None
            segment = parse(frame)
            if segment is None or (segment.sport, segment.dport) != (self.dport, self.sport):
                continue
            self.note("<", segment)
            if self.from_mac:
                check(frame[6:12] == mac(self.from_mac), f"from another MAC than the server's: {frame[:14].hex()}")
            if segment.timestamps and not segment.flags & (SYN | RST):
                value = segment.timestamps[0]
                check(self.newest is None or (value - self.newest) & MASK < 1 << 31,
                      f"TSval went back: {value} after {self.newest}")
                self.newest = value
            # VLAN 0 is a priority and no network; it may come back or not (IEEE 802.1Q, table 9-2).
            check([t for t in segment.tags if t] == [t & 0xFFF for t in self.tags if t & 0xFFF],
                  f"tags {segment.tags}, not {self.tags}: {segment}")
            if want is None or want(segment):
                return segment

    def history(self):
        return "\n".join("    " + str(line) for line in self.trace[-40:])

    # -- the usual ways

    def syn(self, flags=SYN, more_options=(), payload=b"", **keywords):
        return self.send(flags, payload, seq=self.isn, options=self.syn_options(*more_options), **keywords)

    def take_syn_ack(self, seconds=5.0):
        answer = self.receive(seconds, lambda s: s.flags & SYN, "SYN-ACK")
        check(answer.flags & (SYN | ACK | RST | FIN) == SYN | ACK, f"not a SYN-ACK: {answer}")
        check(answer.ack == (self.isn + 1) & MASK, f"the SYN-ACK acknowledges {answer.ack}, our ISN is {self.isn}")
        self.seq, self.ack = answer.ack, (answer.seq + 1) & MASK
        self.use_timestamps = answer.timestamps is not None
        if self.use_timestamps:
            self.echo = self.newest = answer.timestamps[0]
        return answer

    def connect(self, **keywords):
        self.syn(**keywords)
        answer = self.take_syn_ack()
        self.send(ACK)
        return answer

    def accept_data(self, segment):
        """In-order data moves our acknowledgement on; returns what is new."""
        skip = (self.ack - segment.seq) & MASK
        new = segment.payload[skip:] if skip <= len(segment.payload) else b""
        self.ack = (self.ack + len(new)) & MASK
        if segment.flags & FIN and (segment.seq + len(segment.payload)) & MASK == self.ack:
            self.ack = (self.ack + 1) & MASK
        if segment.timestamps:
            self.echo = segment.timestamps[0]
        return new

    def read(self, count, seconds=8.0):
        """Reads and acknowledges until `count` bytes came."""
        data, end = b"", time.monotonic() + seconds
        while len(data) < count:
            segment = self.receive_or_none(max(0.0, end - time.monotonic()))
            if segment is None:
                raise Failure(f"{len(data)} of {count} bytes within {seconds} s; seen:\n{self.history()}")
            if segment.flags & RST:
                raise Failure(f"reset after {len(data)} of {count} bytes; seen:\n{self.history()}")
            if segment.payload:
                data += self.accept_data(segment)
                self.send(ACK)
        return data

    def exchange(self, data, seconds=8.0):
        """Sends data to an echo server and wants it back; sends it again as TCP would."""
        start, back, end = self.seq, b"", time.monotonic() + seconds
        tries = 0
        self.send(ACK | PSH, data)
        while len(back) < len(data):
            segment = self.receive_or_none(min(1.0, max(0.0, end - time.monotonic())))
            if segment is None:
                if time.monotonic() >= end:
                    raise Failure(f"{len(back)} of {len(data)} echoed within {seconds} s; seen:\n{self.history()}")
                tries += 1
                if not back:
                    self.send_segment(self.segment(ACK | PSH, data, seq=start))
                continue
            if segment.flags & RST:
                raise Failure(f"reset; seen:\n{self.history()}")
            if segment.flags & SYN:
                self.send(ACK)
            elif segment.payload:
                back += self.accept_data(segment)
                self.send(ACK)
        check(back == data, f"echo differs: {back[:40].hex()} for {data[:40].hex()}")
        return tries

    def finish(self, seconds=8.0):
        """An orderly close that we begin."""
        self.send(ACK | FIN)
        end = time.monotonic() + seconds
        while True:
            segment = self.receive(max(0.01, end - time.monotonic()), None, "FIN")
            if segment.flags & FIN:
                self.accept_data(segment)
                self.send(ACK)
                return

    def close(self):
        self.wire.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if isinstance(error, Failure) and error.args and "seen:" not in error.args[0]:
            error.args = (f"{error.args[0]}; seen:\n{self.history()}",)
        self.close()

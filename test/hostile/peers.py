# SPDX-License-Identifier: Apache-2.0
"""Peers that speak HTTP/2 frame by frame, as no library would let them: over TLS with a certificate, or not at all."""

import re
import socket
import ssl
import struct
import threading
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
WHO_AM_I = "/orch.v1.PolicyService/WhoAmI"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def number(value):
    return struct.pack(">I", value)


def text(value):
    """A string as HPACK has it, without Huffman (RFC 7541, 5.2); shorter than 127."""
    return bytes([len(value)]) + value.encode()


def request(path=WHO_AM_I):
    """The header block of a call: POST, https, and the rest as literals that no table keeps."""
    return (b"\x83\x87\x04" + text(path) + b"\x01" + text("localhost") + b"\x00" + text("te") + text("trailers")
            + b"\x00" + text("content-type") + text("application/grpc"))


def setting(key, value):
    return struct.pack(">HI", key, value)


class Http2:
    """One connection. Nothing is answered or acknowledged that the test does not write."""

    def __init__(self, address, certificate=None, key=None, ca=None, source=None, protocols=("h2",)):
        host, port = address.rsplit(":", 1)
        raw = socket.create_connection((host, int(port)), timeout=10, source_address=(source, 0) if source else None)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if certificate:
            context = ssl.create_default_context(cafile=ca)
            context.check_hostname = False
            context.load_cert_chain(certificate, key)
            if protocols:
                context.set_alpn_protocols(list(protocols))
            try:
                raw = context.wrap_socket(raw, server_hostname="localhost")
            except BaseException:
                raw.close()
                raise
        self.socket = raw
        self.next_stream = 1
        self.reader = None

    def write(self, data):
        self.socket.sendall(data)

    def stream(self):
        self.next_stream += 2
        return self.next_stream - 2

    def open(self, settings=b"", acknowledge=True):
        self.write(PREFACE + frame(SETTINGS, payload=settings) + (frame(SETTINGS, ACK) if acknowledge else b""))
        return self

    def read_away(self):
        """Reads and forgets whatever comes, so that the other side is never kept from writing."""
        def run():
            try:
                while self.socket.recv(1 << 16):
                    pass
            except (OSError, ValueError):
                pass
        self.reader = threading.Thread(target=run, daemon=True)
        self.reader.start()
        return self

    def frames(self):
        """Yields (type, flags, stream, payload) until the connection ends."""
        data = b""
        while True:
            while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3], "big"):
                more = self.socket.recv(1 << 16)
                if not more:
                    return
                data += more
            size = 9 + int.from_bytes(data[:3], "big")
            yield data[3], data[4], int.from_bytes(data[5:9], "big"), data[9:size]
            data = data[size:]

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        if self.reader:
            self.reader.join(10)
        self.socket.close()


class Caller:
    """An honest caller of WhoAmI over one connection."""

    def __init__(self, connect):
        self.peer = connect().open(acknowledge=False)
        # Room for all answers that it will ever get.
        self.peer.write(frame(WINDOW_UPDATE, payload=number(1 << 30)))
        self.incoming = self.peer.frames()

    def call(self):
        """Seconds from the call to its trailers."""
        began = time.monotonic()
        stream = self.peer.stream()
        self.peer.write(frame(HEADERS, END_HEADERS, stream, request()) + frame(DATA, END_STREAM, stream, b"\0\0\0\0\0"))
        answered = False
        for kind, flags, of, payload in self.incoming:
            if kind == PING and not flags & ACK:
                self.peer.write(frame(PING, ACK, payload=payload))
            if kind == SETTINGS and not flags & ACK:
                self.peer.write(frame(SETTINGS, ACK))
            if kind == GOAWAY:
                raise AssertionError(f"GOAWAY: {payload!r}")
            answered = answered or (kind == DATA and of == stream)
            if of == stream and kind in (HEADERS, RST_STREAM) and (kind == RST_STREAM or flags & END_STREAM):
                if not answered:
                    raise AssertionError("WhoAmI was not answered")
                return time.monotonic() - began
        raise AssertionError("the connection ended")

    def close(self):
        self.peer.close()


class Watch:
    """While it lives: the longest that an honest call took, on a connection that is warm and on new ones, and by how much a
    process grew."""

    def __init__(self, pid, connect):
        self.pid, self.connect = pid, connect
        self.longest, self.longest_new, self.calls, self.error = 0.0, 0.0, 0, None
        self.done = threading.Event()

    def memory(self, field):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return int(re.search(field + r":\s+(\d+) kB", status.read()).group(1)) / 1024

    def __enter__(self):
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as clear:
            clear.write("5")
        self.before = self.memory("VmRSS")
        self.threads = [threading.Thread(target=self.guarded, args=(each,)) for each in (self.warm, self.cold)]
        for thread in self.threads:
            thread.start()
        return self

    def guarded(self, work):
        try:
            work()
        except (OSError, AssertionError, StopIteration) as error:
            self.error = f"{work.__name__}: {error!r}"

    def warm(self):
        caller = Caller(self.connect)
        while not self.done.wait(0.01):
            self.longest = max(self.longest, caller.call())
            self.calls += 1
        caller.close()

    def cold(self):
        while not self.done.wait(0.1):
            began = time.monotonic()
            caller = Caller(self.connect)
            caller.call()
            self.longest_new = max(self.longest_new, time.monotonic() - began)
            caller.close()

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join(30)
        self.grown = self.memory("VmHWM") - self.before

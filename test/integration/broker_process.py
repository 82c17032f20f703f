# SPDX-License-Identifier: Apache-2.0
"""orch-broker as a process, and the plainest of STOMP clients, for the tests of this folder."""

import os
import queue
import re
import signal
import socket
import subprocess
import threading
import time

PATIENCE_S = 10.0


class Broker:
    """A running orch-broker; stopped at the end of the `with` block."""

    def __init__(self, binary, *arguments, limits=None):
        """`limits`: a function that sets resource limits in the child."""
        command = [binary] + list(arguments)
        if not arguments:
            command += ["--listen", "127.0.0.1:0", "--insecure-loopback"]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, preexec_fn=limits)
        self.lines = []
        self.ready = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.port = self.ready.get(timeout=PATIENCE_S)
        if self.port is None:
            raise AssertionError("orch-broker ended: " + "\n".join(self.lines))

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            found = re.search(r"listening 127\.0\.0\.1:(\d+)", line)
            if found:
                self.ready.put(int(found.group(1)))
        self.ready.put(None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.reader.join()
        self.process.stderr.close()

    def memory_kb(self, key="VmRSS"):
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as status:
            for line in status:
                if line.startswith(key + ":"):
                    return int(line.split()[1])
        raise AssertionError("no %s of orch-broker" % key)

    def cpu_s(self):
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def logged(self, text):
        """Waits for a line of the log that has `text` in it."""
        wait_for(lambda: any(text in line for line in self.lines), "log line with " + text)


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("not within %d s: %s" % (PATIENCE_S, what))
        time.sleep(0.005)


def frame(command, headers=(), body=b""):
    lines = [command] + ["%s:%s" % header for header in headers]
    return "\n".join(lines).encode() + b"\n\n" + body + b"\0"


def unescape(text):
    meanings = {"\\n": "\n", "\\r": "\r", "\\c": ":", "\\\\": "\\"}
    return re.sub(r"\\[nrc\\]", lambda found: meanings[found.group()], text)


CONNECT = frame("CONNECT", [("accept-version", "1.2"), ("host", "h")])


class Wire:
    """One connection: bytes out, frames in."""

    def __init__(self, port, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(("127.0.0.1", port))
        self.buffer = b""

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def connect(self):
        self.send(CONNECT)
        answer = self.next()
        if answer is None or answer[0] != "CONNECTED":
            raise AssertionError("no CONNECTED but %r" % (answer,))
        return self

    def subscribe(self, destination, ack="auto", name="s"):
        self.send(frame("SUBSCRIBE", [("destination", destination), ("id", name), ("ack", ack),
                                      ("receipt", "subscribed")]))
        answer = self.next()
        if answer is None or answer[0] != "RECEIPT":
            raise AssertionError("no RECEIPT but %r" % (answer,))
        return self

    def next(self, timeout=PATIENCE_S):
        """(command, headers, body) of the next frame; None at the end of the connection."""
        self.socket.settimeout(timeout)
        while True:
            self.buffer = self.buffer.lstrip(b"\n")
            end = self.buffer.find(b"\n\n")
            if end >= 0:
                lines = self.buffer[:end].decode().split("\n")
                headers = dict(reversed([map(unescape, line.split(":", 1)) for line in lines[1:]]))
                size = headers.get("content-length")
                stop = (self.buffer.find(b"\0", end) if size is None
                        else end + 2 + int(size))
                if 0 <= stop < len(self.buffer):
                    body = self.buffer[end + 2:stop]
                    self.buffer = self.buffer[stop + 1:]
                    return lines[0], headers, body
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionError:
                return None
            if not data:
                return None
            self.buffer += data

# SPDX-License-Identifier: Apache-2.0
"""A foreign client, python3-stomp, publishes and subscribes through orch-broker."""

import queue
import sys
import unittest

import stomp

from broker_process import PATIENCE_S, Broker

BINARY = sys.argv.pop(1)


class Listener(stomp.ConnectionListener):
    def __init__(self):
        self.messages = queue.Queue()
        self.errors = queue.Queue()
        self.receipts = queue.Queue()
        self.gone = queue.Queue()

    def on_message(self, frame):
        self.messages.put(frame)

    def on_error(self, frame):
        self.errors.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame)

    def on_disconnected(self):
        self.gone.put(True)


class StompTest(unittest.TestCase):
    """Once with each version of the protocol; the subclasses say which."""

    connection_class = stomp.Connection12

    def setUp(self):
        self.broker = Broker(BINARY)
        self.addCleanup(self.broker.__exit__)

    def client(self, **options):
        connection = self.connection_class(
            [("127.0.0.1", self.broker.port)], reconnect_attempts_max=1, **options)
        listener = Listener()
        connection.set_listener("", listener)
        connection.connect("any", "login", wait=True)
        self.addCleanup(lambda: connection.is_connected() and connection.disconnect())
        return connection, listener

    def subscribe(self, client, destination, **options):
        connection, listener = client
        connection.subscribe(destination, id="1", headers={"receipt": "sub"}, **options)
        self.assertEqual(listener.receipts.get(timeout=PATIENCE_S).headers["receipt-id"], "sub")

    def test_topic(self):
        one, two, sender = self.client(), self.client(), self.client()
        self.subscribe(one, "/topic/t", ack="auto")
        self.subscribe(two, "/topic/t", ack="auto")
        sender[0].send("/topic/t", "hello: all\n", headers={"correlation-id": "a:b\\c"})
        for _, listener in (one, two):
            message = listener.messages.get(timeout=PATIENCE_S)
            self.assertEqual(message.body, "hello: all\n")
            self.assertEqual(message.headers["destination"], "/topic/t")
            self.assertEqual(message.headers["subscription"], "1")
            if self.connection_class is not stomp.Connection10:
                self.assertEqual(message.headers["correlation-id"], "a:b\\c")

    def test_queue(self):
        sender, taker = self.client(), self.client()
        for number in range(100):
            sender[0].send("/queue/q", str(number))
        self.subscribe(taker, "/queue/q", ack="auto")
        bodies = [taker[1].messages.get(timeout=PATIENCE_S).body for _ in range(100)]
        self.assertEqual(bodies, [str(number) for number in range(100)])

    def test_acknowledgement(self):
        sender, first, second = self.client(), self.client(), self.client()
        self.subscribe(first, "/queue/q", ack="client")
        for body in ("1", "2", "3"):
            sender[0].send("/queue/q", body)
        messages = [first[1].messages.get(timeout=PATIENCE_S) for _ in range(3)]
        self.acknowledge(first[0], messages[1])
        first[0].disconnect(receipt="bye")
        self.assertEqual(first[1].receipts.get(timeout=PATIENCE_S).headers["receipt-id"], "bye")
        self.subscribe(second, "/queue/q", ack="auto")
        message = second[1].messages.get(timeout=PATIENCE_S)
        self.assertEqual((message.body, message.headers["redelivered"]), ("3", "true"))

    def acknowledge(self, connection, message):
        connection.ack(message.headers["ack"])

    def test_transaction(self):
        sender, taker = self.client(), self.client()
        self.subscribe(taker, "/queue/q", ack="auto")
        aborted, committed = sender[0].begin(), sender[0].begin()
        sender[0].send("/queue/q", "aborted", transaction=aborted)
        sender[0].send("/queue/q", "committed", transaction=committed)
        sender[0].abort(aborted)
        sender[0].commit(committed)
        self.assertEqual(taker[1].messages.get(timeout=PATIENCE_S).body, "committed")

    def test_error(self):
        connection, listener = self.client()
        connection.send("/nowhere", "x", headers={"receipt": "r"})
        error = listener.errors.get(timeout=PATIENCE_S)
        self.assertIn("SEND /nowhere: destination does not begin with", error.headers["message"])
        self.assertEqual(error.headers["receipt-id"], "r")
        self.assertTrue(listener.gone.get(timeout=PATIENCE_S))

    def test_heart_beats(self):
        if self.connection_class is stomp.Connection10:
            self.skipTest("STOMP 1.0 has none")
        _, listener = self.client(heartbeats=(1000, 1000))
        with self.assertRaises(queue.Empty):
            listener.gone.get(timeout=2.5)


class Stomp11Test(StompTest):
    connection_class = stomp.Connection11

    def acknowledge(self, connection, message):
        connection.ack(message.headers["message-id"], message.headers["subscription"])


class Stomp10Test(StompTest):
    connection_class = stomp.Connection10

    def acknowledge(self, connection, message):
        connection.ack(message.headers["message-id"])


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""`orchctl broker check` on each broker: no surprise with the shipped configuration, a failure where everything is open."""

import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402


class BrokerCheckTest(unittest.TestCase):
    def broker(self, kind, **keywords):
        fleet = fleets.Fleet(tempfile.mkdtemp(prefix="orch-check-"), nodes=("web1.example.net", "db1.example.net"), broker=kind,
                             **keywords)
        self.addCleanup(fleet.remove)
        self.addCleanup(fleet.stop)
        fleet.make_ca()
        fleet.start_broker()
        return fleet

    def found(self, check, role, verb, destination):
        rows = [row for row in check["rows"] if row["role"] == "CHECK_ROLE_" + role and row["verb"] == "CHECK_VERB_" + verb
                and row["destination"] == destination]
        self.assertTrue(rows, f"{role} {verb} {destination} was not tried")
        return rows[0]["found"].replace("CHECK_FINDING_", "")

    def assert_as_shipped(self, kind):
        fleet = self.broker(kind)
        code, check = fleet.broker_check()
        self.assertIsInstance(check, dict, check)
        self.assertEqual((code, [row for row in check["rows"] if row["surprise"]]), (0, []))
        self.assertGreater(len(check["rows"]), 50)
        self.assertEqual({row["role"] for row in check["rows"]}, {"CHECK_ROLE_NODE", "CHECK_ROLE_CONTROLLER", "CHECK_ROLE_STRANGER"})
        self.assertEqual(self.found(check, "STRANGER", "CONNECT", ""), "REFUSED")
        # A right that is needed and missing is a surprise as well: here a node's certificate stands for the controller's.
        code, check = fleet.broker_check(controller="db1.example.net")
        self.assertEqual(code, 1, check)
        self.assertTrue(any(row["surprise"] and row["expected"] == "CHECK_EXPECTATION_ALLOWED" for row in check["rows"]), check)

    def test_orch_broker(self):
        self.assert_as_shipped("orch-broker")

    def test_activemq(self):
        self.assert_as_shipped("activemq")

    def test_rabbitmq(self):
        self.assert_as_shipped("rabbitmq")

    def test_open_activemq(self):
        code, check = self.broker("activemq-open").broker_check()
        self.assertEqual(code, 1, check)
        for role, verb, destination in (("NODE", "SEND", "/topic/orch.main.request"), ("NODE", "SUBSCRIBE", "/topic/>"),
                                        ("NODE", "SUBSCRIBE", "/queue/orch.main.reply.controller"),
                                        ("NODE", "SEND", "/queue/orch.main.reply.controller,/topic/orch.main.request"),
                                        ("CONTROLLER", "SEND", "/topic/orch.main.presence")):
            self.assertEqual(self.found(check, role, verb, destination), "ALLOWED", (role, verb, destination))

    def test_the_classic_guide_is_open_within_its_prefix(self):
        code, check = self.broker("activemq-classic").broker_check()
        self.assertEqual(code, 1, check)
        self.assertEqual(self.found(check, "NODE", "SEND", "/topic/mcollective.main.request"), "ALLOWED")
        self.assertEqual(self.found(check, "NODE", "SEND", "/topic/mcollectivex.main.request"), "REFUSED")

    def test_open_rabbitmq(self):
        code, check = self.broker("rabbitmq-open").broker_check()
        self.assertEqual(code, 1, check)
        for role, verb, destination in (("NODE", "SEND", "/exchange/orch.cmd/main.request"), ("NODE", "SUBSCRIBE", "/exchange/orch.rep/#"),
                                        ("NODE", "SUBSCRIBE", "/exchange/amq.topic/#"), ("NODE", "SEND", "/queue/orch-check-sent"),
                                        ("CONTROLLER", "SEND", "/exchange/orch.rep/main.presence")):
            self.assertEqual(self.found(check, role, verb, destination), "ALLOWED", (role, verb, destination))

    def test_open_orch_broker(self):
        directory = tempfile.mkdtemp(prefix="orch-check-")
        broker = fleets.Process("orch-broker", [fleets.binary("orch-broker"), "--listen", "127.0.0.1:0", "--insecure-loopback"],
                                os.path.join(directory, "log")).start()
        self.addCleanup(broker.kill)
        address = broker.wait_log(r"listening\S* \S*?(127\.0\.0\.1:\d+)").group(1)
        done = self.check_program("--broker", address, "--plaintext", "--timeout", "1s")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stdout, r"node +send +/topic/orch\.main\.request +a request to all +refused +allowed +SURPRISE")
        broker.stop()
        done = self.check_program("--broker", address, "--plaintext")
        self.assertEqual(done.returncode, 4, done.stdout)
        self.assertIn("Connection refused", done.stderr)

    def check_program(self, *arguments):
        return subprocess.run([fleets.binary("orch-broker"), "check", *arguments], capture_output=True, text=True, timeout=120,
                              check=False)

    def test_wrong_usage(self):
        for arguments, words in (((), "whose rights"), (("--plaintext",), "which broker"), (("--bogus",), "--bogus"),
                                 (("--broker", "127.0.0.1", "--plaintext"), "port"), (("--flavour", "kafka"), "kafka"),
                                 (("--node-cert", "/nonexistent.pem", "--broker", "127.0.0.1:1"), "--node-key"),
                                 (("--node-config", "/nonexistent.yaml"), "/nonexistent.yaml"),
                                 (("--broker", "127.0.0.1:1", "--plaintext", "--collective", "A B"), "A B"),
                                 (("--broker", "127.0.0.1:1", "--plaintext", "--timeout", "5"), "timeout"),
                                 (("--broker", "broker.example.net:1", "--plaintext"), "loopback")):
            done = self.check_program(*arguments)
            self.assertEqual(done.returncode, 64, (arguments, done.stderr))
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""The same demo on the embedded broker, on ActiveMQ as the classic MCollective guide sets it up, and on RabbitMQ."""

import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "testing"))


class DemoTest(unittest.TestCase):
    def demo(self, broker):
        done = subprocess.run([sys.executable, os.path.join(HERE, "demo.py"), "--broker", broker], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        for word in ("CHANGED", "UNCHANGED", "NOOP_PENDING", "restoring a backup", "(exit 5)", "SIGKILL", "intact"):
            self.assertIn(word, done.stdout)

    def test_activemq_as_the_classic_guide_has_it(self):
        self.demo("activemq-classic")

    def test_rabbitmq(self):
        self.demo("rabbitmq")

    def test_embedded(self):
        self.demo("embedded")


if __name__ == "__main__":
    unittest.main()

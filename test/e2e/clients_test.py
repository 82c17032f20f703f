# SPDX-License-Identifier: Apache-2.0
"""Foreign gRPC clients run a Puppet job and follow its stream: buf curl (by reflection), python3-grpcio, and grpc-js."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

NODE = "web1.example.net"


class ClientsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = fleets.Fleet(tempfile.mkdtemp(prefix="orch-clients-"), nodes=(NODE,))
        cls.addClassCleanup(cls.fleet.remove)
        cls.addClassCleanup(cls.fleet.stop)
        cls.fleet.start()
        npm = os.environ.get("ORCH_NPM") or os.path.expanduser("~/.cache/orch/npm/node_modules")
        cls.buf_program = os.path.join(npm, ".bin", "buf")
        cls.npm = npm

    def buf(self, method, request, user="operator", check=True):
        done = subprocess.run(
            [self.buf_program, "curl", "--protocol", "grpc", "--reflect-protocol", "grpc-v1alpha",
             "--cacert", self.fleet.path("ca", "ca.pem"), "--cert", self.fleet.path("ca", user + ".pem"),
             "--key", self.fleet.path("ca", user + ".key"), "--data", json.dumps(request),
             f"https://{self.fleet.address}/{method}"],
            capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "HOME": self.fleet.dir})
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def objects(self, text):
        decoder, at, out = json.JSONDecoder(), 0, []
        while text[at:].strip():
            at += len(text[at:]) - len(text[at:].lstrip())
            value, at = decoder.raw_decode(text, at)
            out.append(value)
        return out

    def test_buf_curl_by_reflection(self):
        who = json.loads(self.buf("orch.v1.PolicyService/WhoAmI", {}).stdout)
        self.assertEqual(who["caller"], "cert=operator")
        stream = self.objects(self.buf("orch.v1.JobService/RunJob", {"spec": {"action": {"puppetRun": {}}}}).stdout)
        events = [event for part in stream for event in part.get("events", [])]
        self.assertEqual([int(e["sequence"]) for e in events], list(range(1, len(events) + 1)))
        self.assertEqual(events[-1]["finished"]["state"], "JOB_STATE_SUCCEEDED")
        name = events[-1]["finished"]["name"]
        again = self.objects(self.buf("orch.v1.JobService/WatchJob", {"name": name, "afterSequence": "2"}).stdout)
        self.assertEqual(int([e for part in again for e in part.get("events", [])][0]["sequence"]), 3)

    def test_buf_curl_error_details(self):
        done = self.buf("orch.v1.JobService/CreateJob", {"spec": {"action": {"puppetRun": {}}}}, user="guest", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("permission_denied", done.stderr)
        self.assertIn("ErrorInfo", done.stderr)
        done = self.buf("orch.v1.JobService/CreateJob",
                        {"spec": {"action": {"nodePing": {}}, "target": {"select": ["role=web or"]}}}, check=False)
        self.assertIn("invalid_argument", done.stderr)
        self.assertIn("BadRequest", done.stderr)
        self.assertIn("column", done.stderr)

    def test_health(self):
        answer = json.loads(self.buf("grpc.health.v1.Health/Check", {}).stdout)
        self.assertEqual(answer["status"], "SERVING")

    def test_python(self):
        api = os.path.join(fleets.ROOT, "api")
        out = self.fleet.path("python")
        os.makedirs(out)
        protos = ["action", "target", "job", "job_service"]
        subprocess.run(["protoc", f"-I{api}", f"--python_out={out}", f"--grpc_out={out}",
                        "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin"]
                       + [f"orch/v1/{name}.proto" for name in protos], check=True)
        client = self.fleet.write("python/client.py", """\
import sys, grpc
from orch.v1 import action_pb2, job_pb2, job_service_pb2, job_service_pb2_grpc
address, ca, cert, key = sys.argv[1:]
read = lambda path: open(path, "rb").read()
channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(read(ca), read(key), read(cert)))
jobs = job_service_pb2_grpc.JobServiceStub(channel)
spec = job_pb2.JobSpec(action=action_pb2.Action(puppet_run=action_pb2.PuppetRun()))
last = 0
for response in jobs.RunJob(job_service_pb2.RunJobRequest(spec=spec), timeout=120):
    for event in response.events:
        assert event.sequence == last + 1, event
        last = event.sequence
        if event.HasField("finished"):
            print(job_pb2.JobState.Name(event.finished.state))
try:
    jobs.GetJob(job_service_pb2.GetJobRequest(name="jobs/01ARYZ6S41TSV4RRFFQ69G5FAV"), timeout=10)
except grpc.RpcError as error:
    print(error.code().name)
""")
        done = subprocess.run(["/usr/bin/python3", client, self.fleet.address, self.fleet.path("ca", "ca.pem"),
                               self.fleet.path("ca", "operator.pem"), self.fleet.path("ca", "operator.key")],
                              capture_output=True, text=True, timeout=180, check=False)
        self.assertEqual(done.stdout.split(), ["JOB_STATE_SUCCEEDED", "NOT_FOUND"], done.stderr)

    def test_grpc_js(self):
        if not shutil.which("node"):
            self.fail("node is missing: tools/test installs it")
        client = self.fleet.write("client.js", """\
const grpc = require('@grpc/grpc-js'), fs = require('fs');
const [address, ca, cert, key] = process.argv.slice(2);
const credentials = grpc.credentials.createSsl(fs.readFileSync(ca), fs.readFileSync(key), fs.readFileSync(cert));
const client = new grpc.Client(address, credentials);
const same = (bytes) => bytes;
// An empty WhoAmIRequest; the answer's first field is the caller.
client.makeUnaryRequest('/orch.v1.PolicyService/WhoAmI', same, same, Buffer.alloc(0), (error, answer) => {
  if (error) { console.log(error.code, error.details); process.exit(1); }
  console.log(answer.subarray(2, 2 + answer[1]).toString());
  process.exit(0);
});
""")
        done = subprocess.run(["node", client, self.fleet.address, self.fleet.path("ca", "ca.pem"),
                               self.fleet.path("ca", "operator.pem"), self.fleet.path("ca", "operator.key")],
                              capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "NODE_PATH": self.npm})
        self.assertEqual(done.stdout.strip(), "cert=operator", done.stderr)


if __name__ == "__main__":
    unittest.main()

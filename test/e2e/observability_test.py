# SPDX-License-Identifier: Apache-2.0
"""What an operator sees from outside: metrics of all three daemons as promtool and docs/monitoring.md want them, the shipped alerts,
JSON logs with the same ids on both sides, a trace from a gRPC caller to the node and back, and what is not ready."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

NODE = "web1.example.net"
OTHER = "db1.example.net"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"

CLIENT = """\
import sys, grpc
from orch.v1 import action_pb2, job_pb2, job_service_pb2, job_service_pb2_grpc
address, ca, cert, key, traceparent = sys.argv[1:]
read = lambda path: open(path, "rb").read()
channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(read(ca), read(key), read(cert)))
jobs = job_service_pb2_grpc.JobServiceStub(channel)
spec = job_pb2.JobSpec(action=action_pb2.Action(puppet_run=action_pb2.PuppetRun()))
name = ""
for response in jobs.RunJob(job_service_pb2.RunJobRequest(spec=spec), timeout=120, metadata=[("traceparent", traceparent)]):
    name = response.job.name or name
    for event in response.events:
        if event.HasField("finished"):
            name = event.finished.name
job = jobs.GetJob(job_service_pb2.GetJobRequest(name=name), timeout=10).job
print(job.name, job_pb2.JobState.Name(job.state), job.traceparent or "none")
"""


class BrokerFleet(fleets.Fleet):
    """A fleet on an orch-broker of its own, with TLS."""

    def start_broker(self):
        http = self.broker_http or "127.0.0.1:0"
        listen = self.broker_address or "127.0.0.1:0"
        self.write("broker.yaml", f"broker:\n  listen: '{listen}'\n{self.trust('broker')}http:\n  listen: '{http}'\nlog_format: json\n")
        self.broker_process = fleets.Process("broker", [fleets.binary("orch-broker"), "--config", self.path("broker.yaml")],
                                             self.path("broker.log")).start()
        self.broker_address = self.broker_process.wait_log(r'"listening (127\.0\.0\.1:\d+)').group(1)
        self.broker_http = self.broker_process.wait_log(r"http listening (127\.0\.0\.1:\d+)").group(1)

    def textfile(self, name):
        return self.path("textfiles", name + ".prom")


def get(address, path):
    """(status, body) of a GET."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def promtool(*arguments, stdin=""):
    return subprocess.run(["/usr/bin/promtool", *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False)


def families(text):
    return set(re.findall(r"^# TYPE (\S+) ", text, re.M))


def value(text, series):
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.M)
    return float(found.group(1)) if found else None


class ObservabilityTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = fleet = BrokerFleet(tempfile.mkdtemp(prefix="orch-observe-"), nodes=(NODE, OTHER), broker="orch-broker")
        fleet.broker_http = fleet.broker_process = None
        cls.addClassCleanup(fleet.remove)
        cls.addClassCleanup(lambda: fleet.broker_process and fleet.broker_process.stop())
        cls.addClassCleanup(fleet.stop)
        os.makedirs(fleet.path("textfiles"))
        fleet.make_ca()
        fleet.start_broker()
        cls.start_controller()
        for name in fleet.names:
            fleet.start_node(name, f"log_format: json\nmetrics_file: {fleet.textfile(name)}\n")
        fleet.wait_present(2)

    @classmethod
    def start_controller(cls):
        cls.fleet.start_controller("log_format: json\nroster:\n  beacon_interval: 1s\n")

    def events(self, process, message, **fields):
        """The JSON lines of a daemon with this message and these fields."""
        lines = [json.loads(line) for line in read(process.log).split("\n") if line]
        return [line for line in lines if line["message"] == message and all(line.get(k) == v for k, v in fields.items())]

    def wait_event(self, process, message, **fields):
        return fleets.wait_for(f"{message} {fields} in {process.log}", lambda: self.events(process, message, **fields))[0]

    def pages(self):
        """The metrics of controller, broker and node agent, once the node has heard a beacon and all of a run is counted."""
        def whole():
            text = read(self.fleet.textfile(NODE))
            return text if value(text, "orch_nodeagent_clock_skew_seconds") is not None else None
        controller, broker = get(self.fleet.http, "/metrics"), get(self.fleet.broker_http, "/metrics")
        self.assertEqual((controller[0], broker[0]), (200, 200))
        return controller[1], broker[1], fleets.wait_for("a beacon in the textfile", whole, 40)

    def test_metrics_are_what_promtool_wants(self):
        for text in self.pages():
            done = promtool("check", "metrics", stdin=text)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), text)
            self.assertNotRegex(text, r"example\.net|cert=|operator|jobs/|127\.0\.0\.1")

    def test_the_manual_names_every_figure(self):
        manual = read(os.path.join(fleets.ROOT, "docs", "monitoring.md"))
        named = re.findall(r"^\| `([a-z_]+)` \| (?:gauge|counter|histogram) \|", manual, re.M)
        said = set().union(*[families(text) for text in self.pages()])
        self.assertEqual(sorted(named), sorted(said))
        for text in self.pages():
            for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M):
                self.assertIn(f"| `{name}` | {kind} |", manual)

    def test_figures_tell_of_a_run(self):
        report = self.fleet.report("puppet", "run", "-I", NODE)
        self.assertEqual(report["exit"], 0, report)
        controller, broker, _ = self.pages()
        for series in ('orch_jobs_total{event="created"}', 'orch_job_ends_total{state="succeeded"}', "orch_job_dispatch_seconds_count",
                       'orch_node_outcomes_total{outcome="succeeded"}', "orch_node_acceptance_seconds_count",
                       'orch_node_outcome_seconds_count{mutating="true"}', 'orch_audit_records_total{result="written"}',
                       'orch_grpc_calls_total{method="JobService/RunJob",code="OK"}', "orch_bus_connects_total",
                       'orch_bus_frames_total{direction="in"}', 'orch_bus_bytes_total{direction="out"}'):
            self.assertGreaterEqual(value(controller, series), 1, series)
        self.assertEqual(value(controller, 'orch_nodes{state="present"}'), 2)
        self.assertEqual(value(broker, 'orch_broker_connections{peer="node"}'), 2)
        self.assertEqual(value(broker, 'orch_broker_connections{peer="controller"}'), 1)
        self.assertEqual(value(broker, 'orch_broker_destinations{kind="node"}'), 2)
        fleets.wait_for("the run in the textfile", lambda: value(
            read(self.fleet.textfile(NODE)), 'orch_nodeagent_actions_total{outcome="succeeded"}') >= 1, 40)
        self.assertEqual(os.stat(self.fleet.textfile(NODE)).st_mode & 0o777, 0o644)
        self.assertEqual(os.listdir(self.fleet.path("textfiles")).count(NODE + ".prom.new"), 0)

    def test_the_broker_says_why_it_refused(self):
        import socket
        import ssl
        context = ssl.create_default_context(cafile=self.fleet.path("ca", "ca.pem"))
        context.check_hostname = False
        context.load_cert_chain(self.fleet.path("ca", NODE + ".pem"), self.fleet.path("ca", NODE + ".key"))
        host, port = self.fleet.broker_address.split(":")
        before = get(self.fleet.broker_http, "/metrics")[1]
        for frames in (b"NONSENSE\n\n\0", b"CONNECT\naccept-version:1.2\nhost:h\n\n\0SUBSCRIBE\nid:1\ndestination:/topic/orch.main.presence\n\n\0"):
            with context.wrap_socket(socket.create_connection((host, int(port)), 10)) as wire:
                wire.sendall(frames)
                while wire.recv(4096):
                    pass
        after = get(self.fleet.broker_http, "/metrics")[1]
        for reason in ("malformed", "denied"):
            series = f'orch_broker_refused_total{{reason="{reason}"}}'
            self.assertEqual(value(after, series), value(before, series) + 1)

    def test_alerts(self):
        rules = os.path.join(fleets.ROOT, "deploy", "prometheus", "orch.rules.yaml")
        done = promtool("check", "rules", rules)
        self.assertEqual(done.returncode, 0, done.stderr)
        said = set().union(*[families(text) for text in self.pages()])
        for name in re.findall(r"\borch_[a-z_]+", "\n".join(re.findall(r"expr:.*?\n +(?:for|labels):", read(rules), re.S))):
            self.assertIn(re.sub("_(bucket|sum|count)$", "", name), said)
        cases = self.fleet.write("alerts.yaml", f"""\
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'orch_bus_connected{{instance="c1"}}'
        values: '1 1 0 0 0'
      - series: 'orch_nodes{{instance="c1",state="present"}}'
        values: '80x40'
      - series: 'orch_nodes{{instance="c1",state="stale"}}'
        values: '20x40'
      - series: 'orch_node_outcomes_total{{instance="c1",outcome="no_response"}}'
        values: '0+5x60'
      - series: 'orch_node_outcomes_total{{instance="c1",outcome="succeeded"}}'
        values: '0+5x60'
      - series: 'orch_nodes{{instance="c2",state="present"}}'
        values: '4x40'
      - series: 'orch_nodes{{instance="c2",state="stale"}}'
        values: '1x40'
      - series: 'orch_nodes{{instance="c3",state="present"}}'
        values: '9x40'
      - series: 'orch_nodes{{instance="c3",state="stale"}}'
        values: '1x40'
      - series: 'orch_node_outcomes_total{{instance="c2",outcome="no_response"}}'
        values: '0+0x9 0+1x5 6+0x60'
      - series: 'orch_node_outcomes_total{{instance="c2",outcome="succeeded"}}'
        values: '0+0x9 0+1x5 6+0x60'
      - series: 'orch_nodeagent_controllers{{instance="n1",state="heard"}}'
        values: '0x40'
      - series: 'orch_nodeagent_controllers{{instance="n1",state="silent"}}'
        values: '1x40'
      - series: 'orch_nodeagent_controllers{{instance="n2",state="heard"}}'
        values: '1x40'
      - series: 'orch_nodeagent_last_beacon_timestamp_seconds{{instance="n2"}}'
        values: '0x40'
      - series: 'orch_nodeagent_controllers{{instance="n3",state="heard"}}'
        values: '1x40'
      - series: 'orch_nodeagent_last_beacon_timestamp_seconds{{instance="n3"}}'
        values: '0+60x40'
      - series: 'orch_broker_connections{{instance="b1",peer="node"}}'
        values: '95x20'
      - series: 'orch_broker_connections_max{{instance="b1"}}'
        values: '100x20'
    alert_rule_test:
      - {{eval_time: 4m, alertname: OrchBusDisconnected, exp_alerts: [{{exp_labels: {{severity: page, instance: c1}},
          exp_annotations: {{summary: "The controller c1 has had no broker for a minute", description: "Nothing starts meanwhile; runs under way go on and report afterwards."}}}}]}}
      - {{eval_time: 1m, alertname: OrchBusDisconnected, exp_alerts: []}}
      - {{eval_time: 30m, alertname: OrchNodesSilent, exp_alerts: [{{exp_labels: {{severity: warn, instance: c1}},
          exp_annotations: {{summary: "More than a tenth of the nodes of c1 have not been heard of"}}}}, {{exp_labels: {{severity: warn, instance: c2}},
          exp_annotations: {{summary: "More than a tenth of the nodes of c2 have not been heard of"}}}}]}}
      - {{eval_time: 30m, alertname: OrchNodeAgentUnheard, exp_alerts: [{{exp_labels: {{severity: warn, instance: n1}},
          exp_annotations: {{summary: "The node agent of n1 hears no controller"}}}}, {{exp_labels: {{severity: warn, instance: n2}},
          exp_annotations: {{summary: "The node agent of n2 hears no controller"}}}}]}}
      - {{eval_time: 50m, alertname: OrchNoResponses, exp_alerts: [{{exp_labels: {{severity: warn, instance: c1}},
          exp_annotations: {{summary: "More than a tenth of the nodes asked by c1 in an hour gave no answer"}}}}, {{exp_labels: {{severity: warn, instance: c2}},
          exp_annotations: {{summary: "More than a tenth of the nodes asked by c2 in an hour gave no answer"}}}}]}}
      - {{eval_time: 10m, alertname: OrchBrokerNearlyFull, exp_alerts: [{{exp_labels: {{severity: page, instance: b1}},
          exp_annotations: {{summary: "The broker b1 is close to its limit of connections or of memory"}}}}]}}
""")
        done = promtool("test", "rules", cases)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def run_client(self, traceparent):
        out = self.fleet.path("python")
        if not os.path.exists(out):
            os.makedirs(out)
            api = os.path.join(fleets.ROOT, "api")
            subprocess.run(["protoc", f"-I{api}", f"--python_out={out}", f"--grpc_out={out}",
                            "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin"]
                           + [f"orch/v1/{name}.proto" for name in ("action", "target", "job", "job_service")], check=True)
        client = self.fleet.write("python/client.py", CLIENT)
        done = subprocess.run(["/usr/bin/python3", client, self.fleet.address]
                              + [self.fleet.path("ca", name) for name in ("ca.pem", "operator.pem", "operator.key")] + [traceparent],
                              capture_output=True, text=True, timeout=180, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.split()

    def test_a_trace_goes_all_the_way(self):
        name, state, traceparent = self.run_client(TRACEPARENT)
        self.assertEqual((state, traceparent), ("JOB_STATE_SUCCEEDED", TRACEPARENT))
        job_id = name[len("jobs/"):]
        controller, node = self.fleet.controller, self.fleet.nodes[NODE]
        spans = set()
        for message in ("job frozen", "job created", "request published", "job ended"):
            event = self.wait_event(controller, message, job_id=job_id, trace_id=TRACE)
            spans.add(event["span_id"])
            self.assertEqual(event["controller"], "controller")
        self.assertEqual(len(spans), 1)
        published = self.events(controller, "request published", job_id=job_id)[0]
        for message in ("request accepted", "request started", "request ended"):
            event = self.wait_event(node, message, job_id=job_id, trace_id=TRACE, request_id=published["request_id"])
            self.assertEqual((event["node"], event["controller"]), (NODE, "controller"))
            spans.add(event["span_id"])
        spans.add(self.wait_event(self.fleet.nodes[OTHER], "request ended", job_id=job_id, trace_id=TRACE)["span_id"])
        self.assertEqual(len(spans | {SPAN}), 4, "controller and each node have spans of their own")
        ended = self.events(controller, "job ended", job_id=job_id)[0]
        self.assertEqual((ended["nodes"], type(ended["seconds"])), (2, float))

    def test_a_malformed_trace_is_none(self):
        _, state, traceparent = self.run_client(TRACEPARENT.upper().replace("-01", "-0G"))
        self.assertEqual((state, traceparent), ("JOB_STATE_SUCCEEDED", "none"))

    def test_orchctl_sends_the_trace_of_its_environment(self):
        trace = "1" * 32
        env = {**self.fleet.environment(), "TRACEPARENT": f"00-{trace}-{SPAN}-01"}
        done = subprocess.run([fleets.binary("orchctl"), "ping", "-o", "json"], env=env, capture_output=True, text=True, timeout=60, check=True)
        job = json.loads(done.stdout)["job"]
        self.assertEqual(job["traceparent"], env["TRACEPARENT"])
        self.wait_event(self.fleet.nodes[NODE], "request ended", trace_id=trace, action="node.ping", state="SUCCEEDED")

    def test_a_discovery_is_traced_like_a_job(self):
        trace = "2" * 32
        env = {**self.fleet.environment(), "TRACEPARENT": f"00-{trace}-{SPAN}-01"}
        subprocess.run([fleets.binary("orchctl"), "find"], env=env, capture_output=True, timeout=60, check=True)
        self.wait_event(self.fleet.controller, "request published", trace_id=trace)
        for node in (NODE, OTHER):
            self.wait_event(self.fleet.nodes[node], "request ended", trace_id=trace, action="node.ping", state="SUCCEEDED")

    def test_jobs_keep_their_trace_and_readyz_names_what_is_missing(self):
        name, _, _ = self.run_client(TRACEPARENT)
        self.fleet.controller.kill()
        self.start_controller()
        shown = json.loads(self.fleet.orchctl("job", "show", name[len("jobs/"):], "-o", "json").stdout)
        self.assertIn(TRACEPARENT, json.dumps(shown))
        fleets.wait_for("ready", lambda: get(self.fleet.http, "/readyz") == (200, "ok\n"))
        self.assertEqual(get(self.fleet.broker_http, "/readyz"), (200, "ok\n"))
        self.fleet.broker_process.stop()
        status, text = fleets.wait_for("not ready", lambda: (lambda got: got if got[0] == 503 else None)(get(self.fleet.http, "/readyz")))
        self.assertRegex(text, r"^not ready\nbus: not connected since \S+: ")
        self.assertEqual(value(get(self.fleet.http, "/metrics")[1], "orch_bus_connected"), 0)
        self.fleet.start_broker()
        fleets.wait_for("ready again", lambda: get(self.fleet.http, "/readyz")[0] == 200)
        # The roster remembers nodes; that both listen again only the broker knows.
        fleets.wait_for("both nodes listen again", lambda: value(
            get(self.fleet.broker_http, "/metrics")[1], 'orch_broker_subscriptions{kind="request"}') == 2, 60)

    def test_every_line_is_one_json_object(self):
        for process in (self.fleet.controller, self.fleet.broker_process, *self.fleet.nodes.values()):
            for line in read(process.log).split("\n")[:-1]:
                event = json.loads(line)
                self.assertTrue(line.isascii() and {"time", "level", "program", "message"} <= event.keys(), line)

    def test_a_textfile_that_cant_be_written_costs_nothing(self):
        name = OTHER
        self.fleet.nodes[name].stop()
        self.assertFalse(os.path.exists(self.fleet.textfile(name)), "a stopped agent leaves no figures behind")
        self.fleet.start_node(name, f"log_format: json\nmetrics_file: {self.fleet.path('none', 'orch.prom')}\n")
        self.wait_event(self.fleet.nodes[name], "metrics file", level="warning")
        self.fleet.nodes[name].stop()
        self.fleet.start_node(name, f"log_format: json\nmetrics_file: {self.fleet.textfile(name)}\n")
        self.fleet.wait_present(2)
        done = subprocess.run([fleets.binary("orch-nodeagent"), "--check-config", "--config",
                               self.fleet.write("bad.yaml", read(self.fleet.path(name, "nodeagent.yaml")).replace(".prom\n", ".txt\n"))],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 64)
        self.assertIn("metrics_file", done.stderr)


if __name__ == "__main__":
    unittest.main()

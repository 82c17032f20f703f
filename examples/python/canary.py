# SPDX-License-Identifier: Apache-2.0
"""Runs Puppet on 10 % of the nodes, waits, looks at the results itself, and only then on the others. (A gate that needs no program is
`rollout.canary`.)"""

import uuid

import orch_client
from follow import follow
from orch.v1 import action_pb2, job_pb2, job_service_pb2


def create(jobs, spec):
    # The key makes asking again harmless: the same key and request are the same job.
    request = job_service_pb2.CreateJobRequest(spec=spec, idempotency_key=str(uuid.uuid4()))
    return jobs.CreateJob(request, timeout=60).job.name


def nodes_of(jobs, name):
    token, found = "", []
    while True:
        page = jobs.ListJobNodes(job_service_pb2.ListJobNodesRequest(parent=name, page_size=1000, page_token=token), timeout=30)
        found += page.nodes
        token = page.next_page_token
        if not token:
            return found


def run_and_gate(jobs, spec):
    """The nodes, if each of them succeeded; else None."""
    name = create(jobs, spec)
    job = follow(jobs, name, lambda event: None)
    nodes = nodes_of(jobs, name)
    for group in jobs.SummarizeJob(job_service_pb2.SummarizeJobRequest(name=name), timeout=30).summary.groups:
        print(f"{name}: {group.count} {job_pb2.NodeState.Name(group.state)} {group.cause}".rstrip(), flush=True)
    return [node.node for node in nodes] if job.state == job_pb2.JOB_STATE_SUCCEEDED else None


def main():
    args = orch_client.arguments(__doc__)
    jobs = orch_client.connect(args)
    spec = job_pb2.JobSpec(target=orch_client.target(args), action=action_pb2.Action(puppet_run=action_pb2.PuppetRun()),
                           reason="canary", labels={"example": "canary"})
    everybody = jobs.CreateJob(job_service_pb2.CreateJobRequest(spec=spec, validate_only=True), timeout=60).nodes
    first = job_pb2.JobSpec()
    first.CopyFrom(spec)
    first.rollout.limit.percent = 10
    done = run_and_gate(jobs, first)
    if done is None:
        print("the canary did not succeed: the others are left alone")
        return 2
    others = sorted(set(everybody) - set(done))
    if not others:
        return 0
    rest = job_pb2.JobSpec()
    rest.CopyFrom(spec)
    rest.nodes.extend(others)
    rest.expect_nodes = len(others)  # nothing else than what was looked at
    return 0 if run_and_gate(jobs, rest) is not None else 2


if __name__ == "__main__":
    orch_client.run(main)

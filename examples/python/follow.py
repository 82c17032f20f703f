# SPDX-License-Identifier: Apache-2.0
"""Follows a job to its end, however often the connection or the controller is lost: events are numbered without gaps, so
WatchJob goes on behind the last one that was received."""

import sys
import time

import grpc
import orch_client
from orch.v1 import job_pb2, job_service_pb2

PATIENCE_S = 60


def follow(jobs, name, on_event, after=0):
    """The ended job; `on_event` is called with each event once."""
    lost_since = None
    while True:
        try:
            for batch in jobs.WatchJob(job_service_pb2.WatchJobRequest(name=name, after_sequence=after)):
                lost_since = None
                for event in batch.events:
                    after = event.sequence
                    on_event(event)
                    if event.HasField("finished"):
                        return event.finished
        except grpc.RpcError as error:
            if error.code() not in orch_client.RETRYABLE:
                raise
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > PATIENCE_S:
                raise
            print(f"lost ({error.details()}), going on after event {after}", file=sys.stderr, flush=True)
            time.sleep(1)


def show(event):
    if event.HasField("node") and event.node.HasField("update_time"):
        print(f"{event.sequence} {event.node.node} {job_pb2.NodeState.Name(event.node.state)}", flush=True)


def main():
    args = orch_client.arguments(__doc__, "job")
    job = follow(orch_client.connect(args), args.job, show)
    print(f"{job.name} {job_pb2.JobState.Name(job.state)}")
    return 0 if job.state == job_pb2.JOB_STATE_SUCCEEDED else 2


if __name__ == "__main__":
    orch_client.run(main)

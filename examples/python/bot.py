# SPDX-License-Identifier: Apache-2.0
"""Tells a chat (here: standard output) when a job that changes nodes begins and ends. The resume token outlives connections: after a loss
nothing is told twice and nothing is missed; a controller that was started again says `reset`, and the list begins anew."""

import sys
import time

import grpc
import orch_client
from orch.v1 import job_pb2, job_service_pb2

ENDED = (job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED, job_pb2.JOB_STATE_STOPPED)


def main():
    args = orch_client.arguments(__doc__)
    jobs = orch_client.connect(args)
    request = job_service_pb2.WatchJobsRequest(filter=job_service_pb2.JobFilter(mutating=True))
    told = {}  # job → state that was told
    while True:
        try:
            for batch in jobs.WatchJobs(request):
                for job in batch.jobs:
                    if told.get(job.name) == job.state or (job.name in told and job.state not in ENDED):
                        continue
                    told[job.name] = job.state
                    counts = ", ".join(f"{count.count} {job_pb2.NodeState.Name(count.state)}" for count in job.counts)
                    print(f"{job.name} of {job.caller}: {job_pb2.JobState.Name(job.state)} on {job.targets} nodes ({counts})", flush=True)
                if batch.resume_token:
                    request.resume_token = batch.resume_token
        except grpc.RpcError as error:
            if error.code() not in orch_client.RETRYABLE:
                raise
            print(f"lost ({error.details()}), joining again", file=sys.stderr, flush=True)
            time.sleep(1)


if __name__ == "__main__":
    orch_client.run(main)

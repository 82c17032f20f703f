# SPDX-License-Identifier: Apache-2.0
"""Cancels a job: no further node starts, nodes that run finish. Cancelling an ended job changes nothing."""

import orch_client
from follow import follow
from orch.v1 import job_pb2, job_service_pb2


def main():
    args = orch_client.arguments(__doc__, "job")
    jobs = orch_client.connect(args)
    jobs.CancelJob(job_service_pb2.CancelJobRequest(name=args.job, reason="cancelled by an example"), timeout=30)
    job = follow(jobs, args.job, lambda event: None)
    print(f"{job.name} {job_pb2.JobState.Name(job.state)}: {job.message}")
    return 0


if __name__ == "__main__":
    orch_client.run(main)

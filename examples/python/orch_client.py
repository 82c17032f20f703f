# SPDX-License-Identifier: Apache-2.0
"""What the examples share: the connection, and errors that programs can switch on."""

import argparse
import sys

import grpc
from google.rpc import error_details_pb2, status_pb2  # made from api/google/rpc, as the other stubs
from orch.v1 import job_pb2, job_service_pb2_grpc, target_pb2

SUCCEEDED = job_pb2.NODE_STATE_SUCCEEDED
# Asked for again as they are: the controller is away or full, and nothing has happened.
RETRYABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)


def arguments(description, *more):
    parser = argparse.ArgumentParser(description=description)
    for name in ("server", "ca", "cert", "key"):
        parser.add_argument(name)
    parser.add_argument("-F", dest="facts", action="append", default=[], metavar="FACT=VALUE")
    for name in more:
        parser.add_argument(name)
    return parser.parse_args()


def connect(args):
    def read(path):
        with open(path, "rb") as file:
            return file.read()
    credentials = grpc.ssl_channel_credentials(read(args.ca), read(args.key), read(args.cert))
    # A connection that is silently gone is noticed within 40 s; the controller permits a ping each 10 s.
    options = [("grpc.keepalive_time_ms", 30000), ("grpc.keepalive_timeout_ms", 10000), ("grpc.keepalive_permit_without_calls", 1)]
    return job_service_pb2_grpc.JobServiceStub(grpc.secure_channel(args.server, credentials, options))


def target(args):
    return target_pb2.Target(facts=args.facts)


def reason(error):
    """The reason of the ErrorInfo: programs switch on it, never on the sentence."""
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        status = status_pb2.Status()
        status.ParseFromString(value)
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                return info.reason
    return ""


def run(main):
    """Calls main and turns an error of the controller into a line and an exit code."""
    try:
        sys.exit(main())
    except grpc.RpcError as error:
        print(f"{error.code().name} {reason(error)}: {error.details()}", file=sys.stderr)
        sys.exit(4 if error.code() == grpc.StatusCode.UNAVAILABLE else 64)

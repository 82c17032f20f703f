# SPDX-License-Identifier: Apache-2.0
"""What is in each package: the one description from which .deb and .rpm are made."""

# The newest symbols that the binaries may need: Debian 12, Ubuntu 22.04 and EL 9 have them.
GLIBC_MAX = (2, 34)
GLIBCXX_MAX = (3, 4, 30)

# No address of theirs is published.
MAINTAINER = "The orch authors <orch@localhost>"
# Debian packages whose code is linked into the binaries; their licences go along.
LINKED = ["libabsl-dev", "libboost1.81-dev", "libc-ares-dev", "libcli11-dev", "libfmt-dev", "libgrpc++-dev", "libprotobuf-dev",
          "libre2-dev", "libspdlog-dev", "libsqlite3-dev", "libssl-dev", "libyaml-cpp-dev", "nlohmann-json3-dev"]

DIRECTORIES = "d /etc/orch 0755 root root -\n"

# Files are (source in the repository, place, mode); a source that ends with `!` is made, see tree.py. Configurations are kept
# over upgrades and not overwritten.
PACKAGES = {
    "orch-controller": {
        "about": "controller: rights, jobs, audit, gRPC",
        "long": "The controller of orch takes jobs over gRPC, asks the policy, signs requests, sends them over the message bus and "
                "follows each node to its outcome. It is not started before it is configured.",
        "binary": "bazel-bin/controller/orch-controller",
        "unit": "deploy/orch-controller.service",
        "user": ("orch", "/var/lib/orch"),
        "state": ["/var/lib/orch"],
        "config": [("deploy/controller.yaml", "/etc/orch/controller.yaml"),
                   ("deploy/packages/policy.yaml", "/etc/orch/policy.yaml")],
        "share": [("deploy/policy.yaml", "examples/policy.yaml"), ("deploy/prometheus/orch.rules.yaml", "orch.rules.yaml"),
                  ("docs/policy.md", "policy.md"), ("docs/errors.md", "errors.md"), ("docs/security.md", "security.md")],
        "tmpfiles": DIRECTORIES + "d /etc/orch/ssl 0750 root orch -\n",
    },
    "orch-nodeagent": {
        "about": "node agent: runs Puppet when it is asked to",
        "long": "The node agent of orch listens on the message bus for signed requests of its controllers, decides by this node's own "
                "facts whether it is meant, and runs Puppet at most once for each. It is not started before it is configured.",
        "binary": "bazel-bin/nodeagent/orch-nodeagent",
        "unit": "deploy/orch-nodeagent.service",
        "state": ["/var/lib/orch-nodeagent"],
        "config": [("deploy/nodeagent.yaml", "/etc/orch/nodeagent.yaml")],
        "share": [("docs/facts.md", "facts.md")],
        # Where node_exporter reads text files, for metrics_file.
        "tmpfiles": DIRECTORIES + "d /etc/orch/facts.d 0755 root root -\nd /var/lib/prometheus/node-exporter 0755 root root -\n",
    },
    "orch-broker": {
        "about": "message broker: STOMP with rights by certificate",
        "long": "The broker of orch connects controllers and nodes where no ActiveMQ or RabbitMQ does. It is not started before it is "
                "configured.",
        "binary": "bazel-bin/bus/orch-broker",
        "unit": "deploy/orch-broker.service",
        "user": ("orch-broker", "/nonexistent"),
        "state": [],
        "config": [("deploy/brokers/orch-broker/broker.yaml", "/etc/orch/broker.yaml")],
        "share": [("docs/brokers.md", "brokers.md")],
        "tmpfiles": DIRECTORIES,
    },
    "orchctl": {
        "about": "command line",
        "long": "orchctl runs Puppet on a fleet through a controller of orch, follows jobs, and shows what became of them.",
        "binary": "bazel-bin/cli/orchctl",
        "state": [],
        "config": [],
        "share": [("docs/orchctl.md", "orchctl.md"), ("docs/targets.md", "targets.md")],
    },
}

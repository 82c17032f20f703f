// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "nodeagent/puppet/puppet_paths.h"
#include "orch/v1/action.pb.h"

namespace orch::nodeagent {

// What Puppet's last completed run came to, whoever started it, from its summary and the head of
// its report. Both are read again only when one of them has been replaced, so that asking costs two
// stat(2) calls; a read takes a millisecond or two.
//
// Lives on: one thread.
class LastRun {
 public:
  // Nullopt: there was none, or its summary can't be read. `job` and `caller` are not set.
  const std::optional<orch::v1::PuppetRunDigest>& Read(const PuppetPaths& paths);

 private:
  struct File {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = -1;
    int64_t changed_ns = 0;
    bool operator==(const File&) const = default;
  };
  static File Look(const std::string& path);

  File summary_, report_;
  bool known_ = false;
  std::optional<orch::v1::PuppetRunDigest> digest_;
};

}  // namespace orch::nodeagent

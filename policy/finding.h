// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace orch::policy {

// What `orchctl policy lint` says of a line.
struct Finding {
  std::string file;
  int line = 0;  // 0: the file as a whole
  std::string what;
  bool refused = false;  // the file can't be used as it is
  bool error = false;    // it can, and does not do what it says: a deny line that denies nobody
  bool useless = false;  // it does nothing, or a part of it does
};

}  // namespace orch::policy

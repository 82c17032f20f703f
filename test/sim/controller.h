// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/plants.h"
#include "controller/dispatcher/dispatcher.h"
#include "test/sim/network.h"
#include "test/sim/process.h"
#include "test/sim/world.h"
#include "trust/config.pb.h"

namespace orch::sim {

// A controller without its front: the real dispatcher with all that is below it, and a disk.
class Controller {
 public:
  struct Parts {
    World* world;
    Network* network;
    std::string directory;
    trust::TrustConfig trust;
    base::Plants plants;
  };
  explicit Controller(Parts parts);
  ~Controller();

  void Start();
  // As SIGKILL would; up again after `down`.
  void Crash(absl::Duration down);
  // Dies after its store's next work, in front of the answer.
  void CrashAtWork(absl::Duration down);
  // It lives on: a crash that waits for work does not come.
  void CalmDown();
  void LoseConnection();
  // Asks the dispatcher, on its strand; false: it is down. Whoever asks hears nothing any more once
  // it is killed.
  bool Ask(std::function<void(controller::Dispatcher*)> question);

 private:
  struct Life;

  const Parts parts_;
  std::unique_ptr<Life> life_;
};

}  // namespace orch::sim

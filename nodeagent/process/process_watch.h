// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>

#include "base/strand.h"
#include "nodeagent/process/process.h"

namespace orch::nodeagent {

// Calls back when a process has ended, whether or not it is our child. It uses pidfd_open(2) where
// the kernel has it, and otherwise looks four times a second.
//
// Lives on: `strand`.
class ProcessWatch : public std::enable_shared_from_this<ProcessWatch> {
 public:
  // `ended` is called once, never from within; not at all after Stop().
  static std::shared_ptr<ProcessWatch> Start(base::Strand strand, ProcessId process,
                                             std::function<void()> ended);
  void Stop();

 private:
  ProcessWatch(base::Strand strand, ProcessId process, std::function<void()> ended);
  void Begin();
  void Poll();
  void End();

  const base::Strand strand_;
  const ProcessId process_;
  std::function<void()> ended_;
  base::asio::posix::stream_descriptor descriptor_;
  base::asio::steady_timer timer_;
};

}  // namespace orch::nodeagent

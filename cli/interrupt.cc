// SPDX-License-Identifier: Apache-2.0
#include "cli/interrupt.h"

#include <csignal>

namespace orch::cli {
namespace {

volatile std::sig_atomic_t interrupts = 0;
void OnInterrupt(int) { interrupts = interrupts + 1; }

}  // namespace

InterruptCounter::InterruptCounter() {
  interrupts = 0;
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;
  sigaction(SIGINT, &action, nullptr);
}

InterruptCounter::~InterruptCounter() {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  sigaction(SIGINT, &action, nullptr);
}

int InterruptCounter::count() const { return interrupts; }

}  // namespace orch::cli

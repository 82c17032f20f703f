// SPDX-License-Identifier: Apache-2.0
// The wrapper of a run as a program of its own, for tests; in the product it is a subcommand of
// orch-nodeagent.
#include <iostream>

#include "nodeagent/wrapper/run_wrapper.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: run_wrapper_main DIRECTORY" << std::endl;
    return 64;
  }
  return orch::nodeagent::RunWrapperMain(argv[1]);
}

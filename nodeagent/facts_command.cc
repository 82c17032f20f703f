// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/facts_command.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/telemetry/protobuf_log.h"
#include "nodeagent/facts/fact_files.h"
#include "nodeagent/facts/facts.h"
#include "nodeagent/puppet/puppet_paths.h"
#include "target/compare.h"

namespace orch::nodeagent {
namespace {

using Json = nlohmann::json;

// Waits for programs as long as they may take.
void ReadNow(base::asio::io_context* context, Facts* facts) {
  facts->Start([] {});
  while (facts->facts() == nullptr || !facts->settled()) {
    context->restart();
    context->run_one_for(std::chrono::milliseconds(100));
  }
}

std::string Printed(const Json& value, bool json) {
  if (!json && value.is_string()) return value.get<std::string>();
  return value.dump(value.is_structured() ? 2 : -1, ' ', false, Json::error_handler_t::replace);
}

// `source  name=value`, or with `json` both as an object.
void PrintSources(const Facts& facts, bool json) {
  if (json) {
    std::cout << Printed({{"facts", *facts.facts()},
                          {"sources", facts.origins()},
                          {"classes", *facts.classes()}},
                         true)
              << "\n";
    return;
  }
  size_t width = 0;
  for (const auto& [name, source] : facts.origins()) width = std::max(width, source.size());
  for (const auto& [name, value] : facts.facts()->items()) {
    const std::string& source = facts.origins().at(name);
    std::cout << source << std::string(width - source.size() + 2, ' ') << name << "="
              << OneLine(value) << "\n";
  }
}

int PrintFact(const Facts& facts, const FactsCommand& command) {
  const Json* const value = target::FindFact(*facts.facts(), command.path);
  if (value == nullptr) {
    std::cerr << "orch-nodeagent: no fact " << command.path << "\n";
    return 1;
  }
  if (command.source) {
    for (const auto& [name, source] : facts.origins()) {
      if (name == command.path || command.path.rfind(name + ".", 0) == 0) {
        std::cout << source << "  ";
        break;
      }
    }
  }
  std::cout << Printed(*value, command.json) << "\n";
  return 0;
}

int Explain(const std::string& cache) {
  const int error = access(cache.c_str(), R_OK) == 0 ? 0 : errno;
  std::cerr << "orch-nodeagent: no facts are kept in " << cache << ": "
            << (error == 0 ? "nothing of use in it" : std::strerror(error))
            << (error == ENOENT ? "; has the agent run? --fresh reads them now" : "") << "\n";
  return 1;
}

}  // namespace

int ShowFacts(const NodeAgentConfig& config, const FactsCommand& command) {
  base::SetUpLog("orch-nodeagent", base::LogLevel::kError, base::LogFormat::kText);
  base::SetUpProtobufLog();
  base::asio::io_context context;
  const base::Strand strand(context.get_executor());
  const std::string cache = absl::StrCat(config.state_dir(), "/facts.json");
  PuppetPathsFinder paths(strand, &base::SystemClock(), config.puppet(),
                          absl::StrCat(config.state_dir(), "/puppet_paths.json"));
  Facts facts(FactsParts{
      strand, &base::SystemClock(), &paths, config.facts(), command.fresh ? "" : cache, "", {}});
  if (command.fresh) ReadNow(&context, &facts);
  if (facts.facts() == nullptr) return Explain(cache);
  int exit = 0;
  if (!command.path.empty()) {
    exit = PrintFact(facts, command);
  } else if (command.source) {
    PrintSources(facts, command.json);
  } else {
    std::cout << Printed(*facts.facts(), true) << "\n";
  }
  for (const auto& error : facts.errors()) {
    std::cerr << "orch-nodeagent: source " << error.source() << ": " << error.message() << "\n";
    exit = 1;
  }
  std::cout.flush();
  std::_Exit(exit);  // a file system that hangs would be waited for
}

}  // namespace orch::nodeagent

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

// Puts what the sources said together. Pure.

namespace orch::nodeagent {

// JSON in one line; shared, because it wanders between threads.
using FactsText = std::shared_ptr<const std::string>;

// What one file or program says.
struct MergePiece {
  size_t source = 0;  // whose it is: FactBoard's own
  std::string key;
  std::string name;   // for people
  std::string below;  // see FactSource
  FactsText fresh;    // read since the last merge; may be null
  FactsText good;     // taken the last time; may be null
  bool classes = false;
};

struct MergeOrder {
  std::vector<MergePiece> pieces;  // a later one wins
  size_t bytes_max = 0;
  std::vector<std::string> volatile_facts;  // beside the usual
};

struct Merged {
  nlohmann::json facts = nlohmann::json::object();
  std::string text;                          // the same, in one line
  std::string digest;                        // SHA-256 of lasting facts and classes
  std::vector<std::string> classes;          // sorted, without doubles
  std::map<std::string, std::string> names;  // of the piece that each top-level fact is of
  // One for each piece: what it is in there with, or null; and why that is not its fresh text.
  std::vector<FactsText> taken;
  std::vector<std::string> refused;
};

// A piece with which the facts would be larger than bytes_max is left out; its good text stands in,
// if that fits. Neither is lost: it is for the caller to keep them for the next merge.
Merged Merge(const MergeOrder& order);

}  // namespace orch::nodeagent

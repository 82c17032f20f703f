// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

// Merges what all sources said into the facts of the node. Merging takes milliseconds with large
// facts, so FactBoard hands out a MergeOrder, an errand calls Merge, and FactBoard takes the
// result. Pure.

namespace orch::nodeagent {

// Facts as JSON in one line. Shared and immutable, because several threads hold it.
using FactsText = std::shared_ptr<const std::string>;

// What one file or program of a source says: a piece of the facts.
struct MergePiece {
  size_t source = 0;  // index of its source, and its key there; Merge does not look at them
  std::string key;
  std::string name;   // for people
  std::string below;  // the fact that holds this piece's facts; empty: they are top-level facts
  FactsText fresh;    // what was read since the last merge; may be null
  FactsText good;     // what the last merge took; may be null
  bool classes = false;
};

struct MergeOrder {
  // In order: where two pieces have the same fact, the later one wins.
  std::vector<MergePiece> pieces;
  size_t bytes_max = 0;
  std::vector<std::string> volatile_facts;  // the configured ones, beside DefaultVolatileFacts()
};

struct Merged {
  nlohmann::json facts = nlohmann::json::object();
  std::string text;                          // the same, in one line
  std::string digest;                        // SHA-256 of lasting facts and classes
  std::vector<std::string> classes;          // sorted, without doubles
  std::map<std::string, std::string> names;  // top-level fact → name of the piece that it is from
  // One entry for each piece of the order: the text with which it is part of the facts (null: it is
  // not), and why its fresh text is not (empty: it is).
  std::vector<FactsText> taken;
  std::vector<std::string> refused;
};

// Merges the pieces of `order`. A fresh text with which the facts would be larger than bytes_max is
// refused; the piece's good text is used in its place if that fits. The caller keeps refused texts,
// so that a later merge with more room can take them.
Merged Merge(const MergeOrder& order);

}  // namespace orch::nodeagent

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

// What completion offers besides commands and flags: names that the controller knows.

namespace orch::cli {

// A word, and what it is in few words; may be empty.
struct Candidate {
  std::string word;
  std::string about;
};

enum class NameKind { kNodes, kFacts, kFactValues, kClasses, kJobs, kContexts, kReasons };

// Where names come from.
class NameSource {
 public:
  virtual ~NameSource() = default;
  // Everything of this kind; of kFactValues the values of the fact `of`. Empty where it can't be
  // had.
  virtual std::vector<Candidate> Names(NameKind kind, const std::string& of) = 0;
};

// The controller of `context` (empty: the current one), asked at most once in
// kNamesKeptSeconds for the same,
// and the configuration file. Never prints; never fails, but has nothing.
inline constexpr int kNamesKeptSeconds = 60;
class ControllerNames : public NameSource {
 public:
  explicit ControllerNames(std::string context) : context_(std::move(context)) {}
  std::vector<Candidate> Names(NameKind kind, const std::string& of) override;

 private:
  std::vector<Candidate> Ask(NameKind kind, const std::string& of) const;

  const std::string context_;
};

}  // namespace orch::cli

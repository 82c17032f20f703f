// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "orch/v1/action.pb.h"

// The catalog: which actions there are and what arguments they take, read from the descriptors of
// orch/v1/action.proto, so that nothing is listed a second time. Pure, thread-safe.

namespace orch::api {

struct ArgumentInfo {
  std::string name;
  std::string type;  // for people: `true|false`, `text`, `list of text`, `duration`, `JSON object`
  const google::protobuf::FieldDescriptor* field = nullptr;
  orch::v1::ArgumentOptions options;
};

struct ActionInfo {
  std::string name;  // `puppet.run`
  std::string summary;
  bool mutates = false;
  absl::Duration answer_timeout;                           // read-only actions
  absl::Duration run_timeout;                              // mutating actions
  const google::protobuf::FieldDescriptor* arm = nullptr;  // in Action
  std::vector<ArgumentInfo> arguments;
  std::string schema_digest;  // SHA-256 over the canonical form of name and arguments, 32 bytes
};

// All built-in actions by name.
const std::vector<ActionInfo>& Actions();
const ActionInfo* FindAction(absl::string_view name);
// The entry of an action's arm; null for external actions and for none.
const ActionInfo* InfoOf(const orch::v1::Action& action);
// The name of an action: `puppet.run`, or an external action's own name; empty if no arm is set.
std::string NameOf(const orch::v1::Action& action);
// Whether an action may change a node. An external one counts as doing so, because only the node
// knows its description.
bool Mutates(const orch::v1::Action& action);

// Checks every argument against its options. InvalidArgument with a google.rpc.BadRequest payload
// (api/errors.h) whose fields begin with `path`, for example `spec.action`.
absl::Status Validate(const orch::v1::Action& action, absl::string_view path);
// Builds an action from `key=value` words; lists repeat the key or use commas; durations as `90s`.
// InvalidArgument: an unknown action or argument, with the ones there are.
absl::StatusOr<orch::v1::Action> Parse(absl::string_view name,
                                       const std::vector<std::string>& words);

// Refuses fields and enum values that this build does not know, anywhere inside: proto3 keeps them
// silently.
absl::Status RefuseUnknown(const google::protobuf::Message& message);
// Clears the fields that are marked as sensitive, for logs, audit and store. True: one of them was
// set.
bool RedactSensitive(orch::v1::Action* action);
// SHA-256 of the deterministic serialisation, lower-case hex: the audit's argument digest.
std::string ArgumentDigest(const orch::v1::Action& action);

}  // namespace orch::api

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

// YAML files read strictly into a protobuf message: the message is the schema. Keys are the proto
// field names; durations are written `90s`, `5m`, `1h30m`, timestamps in RFC 3339; enums by their
// value's name without the prefix, in lower case; repeated fields are lists; nested messages and
// maps are mappings. Refused, with `file:line: field.path: why`: unknown keys, duplicate keys, a
// second document, aliases, a value that does not fit. An empty file is the empty message.

namespace orch::base {

// The most bytes of a configuration file.
inline constexpr size_t kConfigFileMax = 8 << 20;

// InvalidArgument for what is wrong with the content; NotFound, PermissionDenied for the file, also
// for one that everybody may write (ReadRightsFile).
absl::Status LoadYaml(const std::string& path, google::protobuf::Message* out);
// Does the same with a text; `name` stands for the file in errors.
absl::Status ParseYaml(absl::string_view text, absl::string_view name,
                       google::protobuf::Message* out);

// The content of a regular file. NotFound; PermissionDenied; ResourceExhausted: it has more than
// `max` bytes.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max = kConfigFileMax);

// The same of a file that says who may do what, or whom to trust. PermissionDenied: everybody may
// write it, or replace it, because everybody may write the directory that it is in (or that its
// link leads to) and that directory is not sticky. Directories on read-only mounts, as Kubernetes
// has them, are fine.
absl::StatusOr<std::string> ReadRightsFile(const std::string& path, size_t max = kConfigFileMax);

// Replaces a file so that readers see the old or the new content, never a part, also after a crash:
// a temporary file in the same directory, fsync, rename, fsync of the directory. `mode` as in
// chmod(2).
absl::Status WriteFileAtomically(const std::string& path, absl::string_view content, int mode);

// Parses a duration such as `90s`, `5m`, `1h30m`, `1.5s` or `2d`. It has no sign, and every number
// needs a unit. InvalidArgument: it is something else.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);

}  // namespace orch::base

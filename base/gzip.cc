// SPDX-License-Identifier: Apache-2.0
#include "base/gzip.h"

#include <google/protobuf/io/gzip_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace orch::base {

namespace io = google::protobuf::io;

std::string Gzip(absl::string_view text) {
  std::string packed;
  {
    io::StringOutputStream out(&packed);
    io::GzipOutputStream gzip(&out);
    void* room = nullptr;
    int size = 0;
    while (!text.empty() && gzip.Next(&room, &size)) {
      const size_t part = std::min<size_t>(text.size(), size);
      std::memcpy(room, text.data(), part);
      text.remove_prefix(part);
      gzip.BackUp(size - static_cast<int>(part));
    }
    gzip.Close();
  }
  return packed;
}

absl::StatusOr<std::string> Gunzip(absl::string_view packed, size_t bytes_max) {
  io::ArrayInputStream in(packed.data(), static_cast<int>(packed.size()));
  io::GzipInputStream gzip(&in, io::GzipInputStream::GZIP);
  std::string text;
  const void* part = nullptr;
  int size = 0;
  while (gzip.Next(&part, &size)) {
    if (text.size() + size > bytes_max) {
      return absl::ResourceExhaustedError(absl::StrCat("gzip: more than ", bytes_max, " bytes"));
    }
    text.append(static_cast<const char*>(part), size);
  }
  // Z_STREAM_END is 1: it ended where gzip says that it ends, its checksum included.
  if (gzip.ZlibErrorCode() != 1) return absl::InvalidArgumentError("gzip: damaged or cut");
  return text;
}

}  // namespace orch::base

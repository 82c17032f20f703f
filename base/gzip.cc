// SPDX-License-Identifier: Apache-2.0
#include "base/gzip.h"

#include <google/protobuf/io/gzip_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace orch::base {

namespace io = google::protobuf::io;

namespace {

constexpr size_t kFrameBytes = 18;  // header and trailer

uint32_t SizeAtEnd(absl::string_view packed) {
  uint32_t size = 0;
  for (size_t i = 1; i <= 4; ++i) {
    size = size << 8 | static_cast<unsigned char>(packed[packed.size() - i]);
  }
  return size;
}

}  // namespace

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
  // A text that is cut looks to protobuf like one that has ended; but its last four bytes are how
  // much it unpacks to.
  if (gzip.ZlibErrorCode() < 0 || packed.size() < kFrameBytes ||
      SizeAtEnd(packed) != static_cast<uint32_t>(text.size())) {
    return absl::InvalidArgumentError("gzip: damaged or cut");
  }
  return text;
}

}  // namespace orch::base

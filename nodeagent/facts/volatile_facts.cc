// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/facts/volatile_facts.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace orch::nodeagent {
namespace {

using nlohmann::json;

void RemoveAt(json* facts, const std::vector<std::string>& path, size_t from) {
  if (!facts->is_object()) return;
  if (from + 1 == path.size()) {
    if (path[from] == "*") {
      facts->clear();
    } else {
      facts->erase(path[from]);
    }
    return;
  }
  for (auto& [key, value] : facts->items()) {
    if (path[from] == "*" || path[from] == key) RemoveAt(&value, path, from + 1);
  }
}

}  // namespace

void RemoveFact(json* facts, const std::string& pattern) {
  RemoveAt(facts, absl::StrSplit(pattern, '.'), 0);
}

std::vector<std::string> DefaultVolatileFacts() {
  std::vector<std::string> facts = {
      // Facter, the flat names of old ones too.
      "load_averages", "memoryfree", "memoryfree_mb", "processors.speed", "swapfree", "swapfree_mb",
      "system_uptime", "uptime", "uptime_days", "uptime_hours", "uptime_seconds",
      // Ohai.
      "counters", "cpu.*.mhz", "idletime", "idletime_seconds", "memory.swap.cached",
      "memory.swap.free", "network.interfaces.*.arp", "network.interfaces.*.neighbour_inet6",
      "ohai_time", "sessions", "sysconf._AVPHYS_PAGES"};
  for (const char* part : {"available", "available_bytes", "capacity", "used", "used_bytes"}) {
    facts.push_back(absl::StrCat("memory.*.", part));
    facts.push_back(absl::StrCat("mountpoints.*.", part));
  }
  for (const char* part :
       {"active",   "anon_pages",       "available",      "bounce",        "buffers",
        "cached",   "commit_limit",     "committed_as",   "dirty",         "free",
        "inactive", "mapped",           "nfs_unstable",   "page_tables",   "shmem",
        "slab",     "slab_reclaimable", "slab_unreclaim", "vmalloc_chunk", "vmalloc_used",
        "writeback"}) {
    facts.push_back(absl::StrCat("memory.", part));
  }
  for (const char* part : {"inodes_available", "inodes_percent_used", "inodes_used", "kb_available",
                           "kb_used", "percent_used"}) {
    facts.push_back(absl::StrCat("filesystem.*.*.", part));
    facts.push_back(absl::StrCat("filesystem2.*.*.", part));
  }
  return facts;
}

}  // namespace orch::nodeagent

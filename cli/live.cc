// SPDX-License-Identifier: Apache-2.0
#include "cli/live.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <ostream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/render.h"
#include "cli/text.h"

namespace orch::cli {
namespace {

constexpr size_t kLiveBarMax = 20;
constexpr size_t kLiveBarMin = 5;

absl::Duration Median(std::vector<absl::Duration> times) {
  if (times.empty()) return absl::ZeroDuration();
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

struct Part {
  std::string text;
  Color color = Color::kNone;
};

}  // namespace

std::string ProgressLine(const Terminal& terminal, const Tally& tally, absl::Duration elapsed,
                         int width) {
  const size_t all = tally.nodes().size();
  const uint32_t ended = tally.ended();
  const std::string done = absl::StrCat(ended, "/", all);
  std::vector<Part> parts;  // the most important first
  const auto count = [&parts](const char* name, uint32_t nodes, Color color) {
    if (nodes > 0) parts.push_back({absl::StrCat(name, " ", nodes), color});
  };
  if (tally.job().state() == orch::v1::JOB_STATE_PAUSED)
    parts.push_back({"paused", Color::kYellow});
  if (tally.job().state() == orch::v1::JOB_STATE_STOPPING) {
    parts.push_back({"stopping", Color::kYellow});
  }
  count("failed", tally.failed(), Color::kRed);
  count("silent", tally.silent(), Color::kYellow);
  count("running", tally.running(), Color::kNone);
  count("waiting", tally.waiting(), Color::kNone);
  count("refused", tally.refused(), Color::kYellow);
  count("changed", tally.changed(), Color::kBold);
  if (ended > 0 && ended < all) {
    parts.push_back({absl::StrCat("ETA ", Age(elapsed / ended * (all - ended))), Color::kDim});
  } else {
    parts.push_back({Age(elapsed), Color::kDim});
  }
  const absl::Duration median = Median(tally.times());
  if (median > absl::ZeroDuration()) {
    parts.push_back({absl::StrCat("p50 ", Age(median)), Color::kDim});
  }

  const size_t room = static_cast<size_t>(std::max(width - 1, 1));
  const size_t bar = std::min(kLiveBarMax, room / 4);
  std::string line;
  if (bar >= kLiveBarMin && all > 0) {
    line = absl::StrCat(Padded(Bar(ended, all, bar, terminal.unicode), bar), "  ");
  }
  line = Cut(absl::StrCat(line, done), room, "");
  for (const Part& part : parts) {
    if (Columns(line) + 2 + Columns(part.text) > room) continue;
    absl::StrAppend(&line, "  ", Paint(terminal, part.color, part.text));
  }
  return line;
}

std::string LiveLine::Erase(int width) {
  if (columns_ == 0) return "";
  const size_t rows = (columns_ - 1) / static_cast<size_t>(std::max(width, 1));
  columns_ = 0;
  return rows == 0 ? "\r\x1b[K" : absl::StrCat("\x1b[", rows, "A\r\x1b[J");
}

void LiveLine::Show(const std::string& line, int width) {
  const std::string erase = Erase(width);
  columns_ = Columns(line);
  out_ << erase << (erase.empty() ? "\r" : "") << line << std::flush;
}

void LiveLine::Clear(int width) {
  const std::string erase = Erase(width);
  if (!erase.empty()) out_ << erase << std::flush;
}

int TerminalWidth(int otherwise) {
  winsize size = {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return otherwise;
}

}  // namespace orch::cli

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

// Pages whose entries may be large. Pure.

namespace orch::controller {

// A page ends before it would grow beyond this: clients accept messages of 4 MiB.
inline constexpr size_t kPageBytesMax = 2 << 20;
// Entries of a page where the request says nothing, of lists of nodes, and at most.
inline constexpr int kNodesInPage = 500;
inline constexpr int kPageMax = 1000;
// Entries that are fetched at once.
inline constexpr int kPagePartMax = 50;

// Puts a page together from small parts: `fetch(size, token, done)` answers with a Page that has
// `next_page_token`; `count` is how many entries one has. The page has at most `size` entries and
// kPageBytesMax, but at least one entry if there is one; its token goes on where it ends. `done`
// comes once, from wherever `fetch` answers.
template <typename Page>
class PageGatherer : public std::enable_shared_from_this<PageGatherer<Page>> {
 public:
  using Done = std::function<void(absl::StatusOr<Page>)>;
  using Fetch = std::function<void(int size, const std::string& token, Done done)>;

  PageGatherer(Fetch fetch, int (Page::*count)() const, int size, std::string token, Done done)
      : fetch_(std::move(fetch)), count_(count), size_(size), done_(std::move(done)) {
    page_.set_next_page_token(std::move(token));
  }

  void FetchPart() {
    const int left = size_ - (page_.*count_)();
    const int part_size = std::min(left, part_max_);
    fetch_(part_size, page_.next_page_token(),
           [self = this->shared_from_this(), part_size](absl::StatusOr<Page> part) {
             if (!part.ok()) return self->done_(std::move(part));
             self->OnPart(part_size, *std::move(part));
           });
  }

 private:
  void OnPart(int part_size, Page part) {
    const bool fits = page_.ByteSizeLong() + part.ByteSizeLong() <= kPageBytesMax;
    const bool first = (page_.*count_)() == 0;
    if (!fits && !first) return done_(std::move(page_));
    if (!fits && part_size > 1) {
      part_max_ = part_size / 2;
      return FetchPart();
    }
    page_.clear_next_page_token();
    page_.MergeFrom(part);
    const bool full = !fits || (page_.*count_)() >= size_;
    if (full || page_.next_page_token().empty()) return done_(std::move(page_));
    FetchPart();
  }

  const Fetch fetch_;
  int (Page::*const count_)() const;
  const int size_;
  const Done done_;
  int part_max_ = kPagePartMax;
  Page page_;  // with the token of what comes next
};

template <typename Page>
void GatherPage(typename PageGatherer<Page>::Fetch fetch, int (Page::*count)() const, int size,
                const std::string& token, typename PageGatherer<Page>::Done done) {
  std::make_shared<PageGatherer<Page>>(std::move(fetch), count, size, token, std::move(done))
      ->FetchPart();
}

}  // namespace orch::controller

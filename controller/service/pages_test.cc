// SPDX-License-Identifier: Apache-2.0
#include "controller/service/pages.h"

#include <gtest/gtest.h>

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "orch/v1/job_service.pb.h"

namespace orch::controller {
namespace {

using Page = orch::v1::ListJobsResponse;

// `sizes` are the bytes of the jobs there are; a token is the index of the next.
class PagesTest : public testing::Test {
 protected:
  absl::StatusOr<Page> Get(int size, const std::string& token = "") {
    absl::StatusOr<Page> out = absl::UnknownError("no answer");
    auto fetch = [this](int size, const std::string& token, auto done) {
      ++fetches_;
      size_t next = 0;
      if (!token.empty() && !absl::SimpleAtoi(token, &next)) {
        return done(absl::InvalidArgumentError("page_token"));
      }
      Page part;
      for (; next < sizes_.size() && part.jobs_size() < size; ++next) {
        auto* job = part.add_jobs();
        job->set_name(absl::StrCat("jobs/", next));
        job->set_message(std::string(sizes_[next], 'x'));
      }
      if (next < sizes_.size()) part.set_next_page_token(absl::StrCat(next));
      done(std::move(part));
    };
    GatherPage<Page>(fetch, &Page::jobs_size, size, token,
                     [&out](absl::StatusOr<Page> page) { out = std::move(page); });
    return out;
  }
  // All names, page by page.
  std::vector<std::string> All(int size) {
    std::vector<std::string> names;
    std::string token;
    do {
      const absl::StatusOr<Page> page = Get(size, token);
      EXPECT_TRUE(page.ok()) << page.status();
      EXPECT_GE(page->jobs_size(), 1) << "a page without entries would never end";
      EXPECT_LE(page->jobs_size(), size);
      for (const auto& job : page->jobs()) names.push_back(job.name());
      token = page->next_page_token();
    } while (!token.empty() && names.size() < 10000);
    return names;
  }
  std::vector<std::string> Expected() {
    std::vector<std::string> names;
    for (size_t i = 0; i < sizes_.size(); ++i) names.push_back(absl::StrCat("jobs/", i));
    return names;
  }

  std::vector<size_t> sizes_;
  int fetches_ = 0;
};

TEST_F(PagesTest, NothingIsAnEmptyPage) {
  const absl::StatusOr<Page> page = Get(10);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->jobs_size(), 0);
  EXPECT_EQ(page->next_page_token(), "");
}

TEST_F(PagesTest, SmallEntriesFillThePage) {
  sizes_.assign(230, 10);
  const absl::StatusOr<Page> page = Get(120);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->jobs_size(), 120);
  EXPECT_EQ(page->next_page_token(), "120");
  EXPECT_EQ(All(100), Expected());
  EXPECT_EQ(All(1000), Expected());
}

TEST_F(PagesTest, APageEndsBeforeItIsTooLarge) {
  sizes_.assign(200, 30000);
  const absl::StatusOr<Page> page = Get(1000);
  ASSERT_TRUE(page.ok());
  EXPECT_LE(page->ByteSizeLong(), kPageBytesMax);
  EXPECT_EQ(page->jobs_size(), 50);
  EXPECT_EQ(All(1000), Expected());
}

TEST_F(PagesTest, LargeEntriesShrinkTheParts) {
  sizes_.assign(40, 300000);
  const absl::StatusOr<Page> page = Get(1000);
  ASSERT_TRUE(page.ok());
  EXPECT_LE(page->ByteSizeLong(), kPageBytesMax);
  EXPECT_EQ(page->jobs_size(), 6);
  EXPECT_EQ(All(1000), Expected());
}

TEST_F(PagesTest, AnEntryThatIsTooLargeComesAlone) {
  sizes_ = {10, kPageBytesMax + 1, 10};
  EXPECT_EQ(All(1000), Expected());
  const absl::StatusOr<Page> page = Get(1000, "1");
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->jobs_size(), 1);
}

TEST_F(PagesTest, ErrorsArePassedOn) {
  EXPECT_EQ(Get(10, "nonsense").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace orch::controller

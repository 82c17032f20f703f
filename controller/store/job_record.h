// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/job/job_values.h"
#include "controller/store/stored.pb.h"

// A job's setup in the form in which the store keeps it. What goes in comes out again, every field
// of it: the test counts the fields on both sides, and does not compile when JobSetup gets another
// one. Pure.

namespace orch::controller {

// Into the fields of a record that hold the setup; the others are left as they are.
void SetupInto(const JobSetup& setup, StoredJob* record);
JobSetup SetupFrom(const StoredJob& record);

}  // namespace orch::controller

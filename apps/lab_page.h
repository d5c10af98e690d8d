// lab_report.html, made of lab.json alone: each of the lab's questions with what was measured for it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace couplet {

// REQUIRES: JSON as lab.cc and lab_run.cc write it.
std::string LabHtml(const nlohmann::ordered_json& lab);

}  // namespace couplet

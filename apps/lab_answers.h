// The parts of lab_report.html: one function a group of questions, each from lab.json to HTML.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace couplet {

std::string LabOverview(const nlohmann::ordered_json& lab);
// lab_facts.cc, questions 1 to 7: what the words mean, on the user's own networks and photos.
std::string LabFacts(const nlohmann::ordered_json& lab);
// lab_measured.cc, questions 8 to 13: what was measured.
std::string LabMeasured(const nlohmann::ordered_json& lab);

// "mobilenet_0.50_224, cpu"
std::string SystemName(const nlohmann::ordered_json& system);
// A question's heading.
std::string Question(int number, const std::string& text);

}  // namespace couplet

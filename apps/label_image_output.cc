// SPDX-License-Identifier: Apache-2.0
#include "apps/label_image_output.h"

#include <nlohmann/json.hpp>

#include "apps/console.h"

namespace couplet {
namespace {

// A backslash is doubled, so that what OneLine writes can be read back.
std::string EscapeTsv(const std::string& text) {
  std::string out;
  for (const char c : text) out.append(c == '\\' ? 2 : 1, c);
  return OneLine(out);
}

const std::string& NameOf(const Prediction& p, const std::vector<std::string>& labels) {
  static const std::string unknown = "unknown";
  return p.index == kUnknownIndex ? unknown : labels[static_cast<size_t>(p.index)];
}

}  // namespace

void PrintText(const PhotoPrediction& photo, const std::vector<std::string>& labels, bool several,
               bool first) {
  if (first) Out("\nEvaluation time (1-image): {:.3f}s\n\n", photo.seconds);
  if (several) Out("{}:\n", OneLine(photo.path));
  for (const Prediction& p : photo.top)
    Out("{} (score={:0.5f})\n", OneLine(NameOf(p, labels)), p.score);
}

void PrintTsv(const PhotoPrediction& photo, const std::vector<std::string>& labels) {
  int rank = 0;
  for (const Prediction& p : photo.top)
    Out("{}\t{}\t{}\t{}\t{:.7f}\n", EscapeTsv(photo.path), ++rank, p.index,
        EscapeTsv(NameOf(p, labels)), p.score);
}

void PrintJson(const PhotoPrediction& photo, const std::vector<std::string>& labels) {
  nlohmann::ordered_json line = {{"path", photo.path}};
  if (photo.status.ok()) {
    line["results"] = nlohmann::ordered_json::array();
    int rank = 0;
    for (const Prediction& p : photo.top)
      line["results"].push_back({{"rank", ++rank},
                                 {"index", p.index},
                                 {"label", NameOf(p, labels)},
                                 {"score", ShortestDouble(p.score)}});
  } else {
    line["error"] = photo.status.message();
  }
  Out("{}\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace couplet

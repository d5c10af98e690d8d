// SPDX-License-Identifier: Apache-2.0
#include "apps/label_file.h"

#include <fmt/format.h>

#include "apps/console.h"
#include "loaders/files.h"
#include "loaders/labels.h"
#include "loaders/own_files.h"

namespace couplet {
namespace {

// "tf_files/roses_graph.pb" -> "tf_files/roses_labels.txt": names as the codelab gives them.
std::string LabelsNamedAs(std::string graph) {
  for (const std::string_view end : {".pb", "_graph"})
    if (graph.ends_with(end)) graph.resize(graph.size() - end.size());
  return graph + "_labels.txt";
}

Result<std::string> FindLabels(const std::string& given, const std::string& graph, bool knows_imagenet) {
  if (!given.empty()) return given;
  const std::string folder = ParentDirectory(graph);
  std::vector<std::string> candidates = {LabelsNamedAs(graph), folder + "/retrained_labels.txt", folder + "/output_labels.txt"};
  if (knows_imagenet) {
    COUPLET_ASSIGN_OR_RETURN(candidates.emplace_back(), FindOwnFile(kImageNetLabels));
  }
  candidates.emplace_back("tf_files/retrained_labels.txt");
  for (const std::string& candidate : candidates)
    if (FileExists(candidate)) {
      Err("labels: {}\n", OneLine(candidate));
      return candidate;
    }
  return BadInput(fmt::format("{}: no labels file ({}, retrained_labels.txt, output_labels.txt) beside it; give --labels", graph,
                              LabelsNamedAs(graph)));
}

}  // namespace

Result<std::vector<std::string>> ReadLabelsFor(const std::string& given, const std::string& graph, int scores,
                                               bool knows_imagenet) {
  COUPLET_ASSIGN_OR_RETURN(const std::string path, FindLabels(given, graph, knows_imagenet));
  COUPLET_ASSIGN_OR_RETURN(std::vector<std::string> labels, ReadLabels(path));
  if (static_cast<int>(labels.size()) == scores) return labels;
  return BadInput(fmt::format("{} has {} labels, but {} gives {} scores; give --labels=FILE, the labels that belong to the graph", path,
                              labels.size(), graph, scores));
}

}  // namespace couplet

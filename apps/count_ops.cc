// count_ops: how many nodes a frozen graph has, as the codelab's scripts.count_ops; --by_type for the census.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "apps/cli.h"
#include "apps/guarded_main.h"
#include "loaders/graphdef.h"

namespace {

using namespace couplet;

Status Count(const std::string& path, const std::optional<std::string>& name, bool by_type) {
  COUPLET_ASSIGN_OR_RETURN(const GraphDef def, GraphDef::Open(path));
  if (name) {  // the original compares names, not operations
    Out("{}\n", def.Find(*name) == nullptr ? 0 : 1);
    return {};
  }
  if (!by_type) {
    Out("{}\n", def.nodes().size());
    return {};
  }
  std::map<std::string_view, int> counts;
  for (const NodeView& node : def.nodes()) ++counts[node.op];
  std::vector<std::pair<std::string_view, int>> census(counts.begin(), counts.end());
  std::stable_sort(census.begin(), census.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  for (const auto& [op, count] : census) Out("{} {}\n", op, count);
  return {};
}

int Main(int argc, char** argv) {
  CommandLine flags("count_ops", "Prints how many nodes a frozen graph has.");
  std::string graph;
  std::optional<std::string> name;
  bool by_type = false;
  flags.Add("graph", &graph, "frozen graph").Required();
  flags.Add("name", &name, "count nodes of this name only, as the original does");
  flags.Add("--by_type", &by_type, "a line an operation, most frequent first");
  return flags.Run(argc, argv, [&] { return Count(graph, name, by_type); });
}

}  // namespace

int main(int argc, char** argv) { return GuardedMain("count_ops", Main, argc, argv); }

// optimize_for_inference: a frozen graph without what only training needs; flags of
// tensorflow.python.tools.optimize_for_inference, and --fold.
// SPDX-License-Identifier: Apache-2.0
#include "apps/cli.h"
#include "apps/guarded_main.h"
#include "loaders/files.h"
#include "loaders/optimize_graph.h"

namespace {

using namespace couplet;

struct Options {
  std::string input, output, input_names, output_names, frozen_graph = "True", toco_compatible = "False";
  int placeholder_type = 1;
  bool fold = false;
};

Status Optimize(const Options& o) {
  for (const auto& [flag, value] : {std::pair{"input", o.input}, std::pair{"output", o.output},
                                    std::pair{"input_names", o.input_names}, std::pair{"output_names", o.output_names}})
    if (value.empty())
      return BadInput(fmt::format("--{} is needed: --input=graph.pb --output=optimized_graph.pb --input_names=input "
                                  "--output_names=final_result", flag));
  if (o.frozen_graph != "True" && o.frozen_graph != "true")
    return BadInput("--frozen_graph=" + o.frozen_graph + ": graphs in text form are not read; freeze it to a binary .pb");
  COUPLET_ASSIGN_OR_RETURN(const GraphDef def, GraphDef::Open(o.input));
  OptimizeOptions options;
  options.inputs = SplitNames(o.input_names);
  options.outputs = SplitNames(o.output_names);
  options.placeholder_type = o.placeholder_type;
  options.fold_decomposed = o.fold;
  COUPLET_ASSIGN_OR_RETURN(const OptimizedGraph optimized, OptimizeForInference(def, options));
  COUPLET_RETURN_IF_ERROR(WriteFileAtomically(o.output, optimized.bytes));
  Err("{} nodes -> {}, {} batch norms folded into the weights; wrote {}\n", def.nodes().size(), optimized.nodes,
      optimized.folded, o.output);
  if (!o.fold && optimized.decomposed > 0)
    Err("{} batch norms are written out in single operations and stay so, as in the original; --fold folds them\n",
        optimized.decomposed);
  return {};
}

int Main(int argc, char** argv) {
  CommandLine flags("optimize_for_inference", "Removes from a frozen graph what only training needs.");
  Options o;
  flags.Add("--input", &o.input, "frozen graph");
  flags.Add("--output", &o.output, "file for the result");
  flags.Add("--input_names", &o.input_names, "nodes that are fed, comma-separated");
  flags.Add("--output_names", &o.output_names, "nodes that are wanted, comma-separated");
  flags.Add("--frozen_graph", &o.frozen_graph, "True: binary graphs are all that is read");
  flags.Add("--placeholder_type_enum", &o.placeholder_type, "type of what is fed, TensorFlow's number").Between(1, 100);
  flags.Add("--toco_compatible", &o.toco_compatible, "taken as by the original; the result is compatible either way");
  flags.Add("--fold", &o.fold, "fold batch norm that is written out in single operations (MobileNet's), too");
  return flags.Run(argc, argv, [&] { return Optimize(o); });
}

}  // namespace

int main(int argc, char** argv) { return GuardedMain("optimize_for_inference", Main, argc, argv); }

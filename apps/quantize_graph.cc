// quantize_graph: float constants in fewer bits, so that a graph is smaller or compresses better; the codelab's
// scripts.quantize_graph.
// SPDX-License-Identifier: Apache-2.0
#include "apps/cli.h"
#include "apps/guarded_main.h"
#include "loaders/files.h"
#include "loaders/quantize_graph.h"

namespace {

using namespace couplet;

struct Options {
  std::string input, output, output_node_names, mode;
  int bitdepth = 8;
  bool tiny_constants_bug = false;
};

Result<QuantizeOptions::Mode> ParseMode(const std::string& mode) {
  if (mode == "weights") return QuantizeOptions::Mode::kWeights;
  if (mode == "weights_rounded") return QuantizeOptions::Mode::kWeightsRounded;
  const char* reason = mode.empty()                          ? " is needed"
                       : mode == "round" || mode == "quantize" ? ": the original ends in a KeyError here"
                       : mode == "eightbit"                  ? ": Couplet computes in floats"
                                                             : " is no mode";
  return BadInput(fmt::format("--mode{}{}{}; weights_rounded (floats of 256 values, which gzip makes small) and weights "
                              "(8 bits each) are there", mode.empty() ? "" : "=", mode, reason));
}

Status Quantize(const Options& o) {
  for (const auto& [flag, value] : {std::pair{"input", o.input}, std::pair{"output", o.output},
                                    std::pair{"output_node_names", o.output_node_names}})
    if (value.empty())
      return BadInput(fmt::format("--{} is needed: --input=graph.pb --output=rounded_graph.pb "
                                  "--output_node_names=final_result --mode=weights_rounded", flag));
  QuantizeOptions options;
  COUPLET_ASSIGN_OR_RETURN(options.mode, ParseMode(o.mode));
  if (options.mode == QuantizeOptions::Mode::kWeights && o.bitdepth != 8)
    return BadInput(fmt::format("--bitdepth={}: --mode=weights has 8 bits", o.bitdepth));
  options.bits = o.bitdepth;
  options.outputs = SplitNames(o.output_node_names);
  options.break_small_ranges = o.tiny_constants_bug;
  COUPLET_ASSIGN_OR_RETURN(const GraphDef def, GraphDef::Open(o.input));
  COUPLET_ASSIGN_OR_RETURN(const QuantizedGraph quantized, QuantizeGraph(def, options));
  COUPLET_RETURN_IF_ERROR(WriteFileAtomically(o.output, quantized.bytes));
  Err("{} constants quantised, {} bytes -> {}; wrote {}\n", quantized.constants, def.bytes().size(),
      quantized.bytes.size(), o.output);
  if (!quantized.left.empty())
    Err("{} constants left as floats, {} for one: their range is too small for eight bits as Dequantize reads them, and the "
        "original breaks them (--tiny_constants_bug)\n", quantized.left.size(), quantized.left[0]);
  return {};
}

int Main(int argc, char** argv) {
  CommandLine flags("quantize_graph", "Stores a frozen graph's float constants in fewer bits.");
  Options o;
  flags.Add("--input", &o.input, "frozen graph");
  flags.Add("--output", &o.output, "file for the result");
  flags.Add("--output_node_names", &o.output_node_names, "nodes that are wanted, comma-separated");
  flags.Add("--mode", &o.mode, "weights_rounded (floats of 2^bitdepth values, for gzip) or weights (8 bits)");
  flags.Add("--bitdepth", &o.bitdepth, "of weights_rounded").Between(1, 24);
  flags.Add("--tiny_constants_bug", &o.tiny_constants_bug,
              "--mode=weights as the original: constants of a tiny range come back wrong (0.001 as 0.000102)");
  return flags.Run(argc, argv, [&] { return Quantize(o); });
}

}  // namespace

int main(int argc, char** argv) { return GuardedMain("quantize_graph", Main, argc, argv); }

// graph_pb2tb: a frozen graph as an event file, for TensorBoard's graph page; the codelab's scripts.graph_pb2tb.
// SPDX-License-Identifier: Apache-2.0
#include "apps/cli.h"
#include "apps/guarded_main.h"
#include "loaders/event_file.h"
#include "loaders/graphdef.h"

namespace {

using namespace couplet;

Status Convert(const std::string& out_dir, const std::string& path) {
  COUPLET_ASSIGN_OR_RETURN(const GraphDef def, GraphDef::Open(path));
  const std::string graph = SerializeWithoutValues(def);
  COUPLET_ASSIGN_OR_RETURN(const auto writer, EventFileWriter::Create(out_dir));
  COUPLET_RETURN_IF_ERROR(writer->AddGraph(graph));
  COUPLET_RETURN_IF_ERROR(writer->Flush());
  Err("Wrote {}; now: tensorboard --logdir {}\n", writer->path(), out_dir);
  return {};
}

int Main(int argc, char** argv) {
  CommandLine flags("graph_pb2tb", "Writes a frozen graph as an event file for TensorBoard (weights over 1 KB without values).");
  std::string out_dir, graph;
  flags.Add("out_dir", &out_dir, "folder for the event file").Required();
  flags.Add("graph", &graph, "frozen graph").Required();
  return flags.Run(argc, argv, [&] { return Convert(out_dir, graph); });
}

}  // namespace

int main(int argc, char** argv) { return GuardedMain("graph_pb2tb", Main, argc, argv); }

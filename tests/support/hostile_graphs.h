// Graphs by strangers: one file and more for each class of TensorFlow's published GraphDef and decoder faults, made anew
// by each test and each fuzzing run.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace couplet::test {

struct HostileGraph {
  std::string name;   // of the file: the class it stands for and what is wrong
  std::string bytes;  // a serialised GraphDef, or nearly
  std::string says;   // what the one line about it holds beside the file's name
};

std::vector<HostileGraph> HostileGraphs();

}  // namespace couplet::test

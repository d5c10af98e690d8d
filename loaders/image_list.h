// A folder of folders of photos -> labels and the split into training, validation and testing, exactly as
// retrain.py's create_image_lists makes it (COMPATIBILITY "Split and labels").
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/status.h"

namespace couplet {

enum class Split { kTraining = 0, kValidation = 1, kTesting = 2 };
inline constexpr std::array<const char*, 3> kSplitNames = {"training", "validation", "testing"};

struct ImageListOptions {
  std::string image_dir;
  double testing_percentage = 10, validation_percentage = 10;
  // Empty: jpg jpeg JPG JPEG exactly, and png, bmp, gif in any case. Otherwise these, as written.
  std::vector<std::string> extensions;
  enum class LabelNames { kStrict, kFolder, kTensorFlow } label_names = LabelNames::kStrict;
  bool training = true;  // they are to be trained on: a class without a training photo is an error
};

struct LabelledImages {
  std::string label;   // cleaned: lower case, runs of anything but [a-z0-9] -> one blank
  std::string folder;  // name of the sub-folder
  std::array<std::vector<std::string>, 3> files;  // file names by Split, in the original's order
};

struct ImageLists {
  std::vector<LabelledImages> classes;  // in the original's order (sorted folders)
  // The original's lines, in order: INFO as it is, a warning with "WARNING:" in front (which leaves
  // "WARNING:WARNING: " where the original's own text begins so). At the end one for each class without a
  // validation or testing photo.
  std::vector<std::string> log;
  // Lines of our own that the original lacks: which folder is short of photos, which holds none that can be read.
  std::vector<std::string> advice;
  // Files in the classes' folders that were left out, by extension as written ("webp": 3, "": 1 for none).
  std::map<std::string, int> ignored;
};

// h * (100 / (2^27 - 1)), h the low 27 bits of SHA-1 of the path as globbed, without "_nohash_...". [0, 100]
// The path is JoinPath(JoinPath(image_dir, folder), file) to the byte: "./a" and "a" split differently.
double SplitPercentage(const std::string& path);
Split ChooseSplit(const std::string& path, double testing_percentage, double validation_percentage);
std::string CleanLabel(const std::string& folder);

// Sub-folders in byte order, links to folders followed, one level; files beside them don't matter. Names are
// never patterns (the original globs, and finds nothing in a folder called "old [1]"). `threads` read them, to the same lists.
//
// Errors (kBadInput): no
// such folder, no class, one class, a class with no training photo (with `training`), two folders with one label or a blank one
// (kStrict).
Result<ImageLists> CreateImageLists(const ImageListOptions& options, int threads = 1);
std::string ImagePath(const ImageListOptions& options, const LabelledImages& images, const std::string& file);

}  // namespace couplet

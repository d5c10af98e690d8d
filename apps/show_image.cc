// show_image: who took one of the codelab's photos. The original shows the photo and the caption in a notebook.
// SPDX-License-Identifier: Apache-2.0
#include "apps/cli.h"
#include "apps/guarded_main.h"
#include "loaders/attributions.h"

namespace {

using namespace couplet;

Status Show(const std::string& photo) {
  COUPLET_ASSIGN_OR_RETURN(const std::string caption, PhotoCaption(photo));
  Out("{}\n", OneLine(caption));
  return {};
}

int Main(int argc, char** argv) {
  CommandLine flags("show_image", "Prints the caption of one of the codelab's photos, from LICENSE.txt beside the classes.");
  std::string photo;
  flags.Add("photo", &photo, "such as tf_files/flower_photos/daisy/3475870145_685a19116d.jpg").Required();
  return flags.Run(argc, argv, [&] { return Show(photo); });
}

}  // namespace

int main(int argc, char** argv) { return GuardedMain("show_image", Main, argc, argv); }

// Percentages and counts were computed with retrain.py's own expressions in Python.
// SPDX-License-Identifier: Apache-2.0
#include "loaders/image_list.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "loaders/files.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

namespace fs = std::filesystem;
using LabelNames = ImageListOptions::LabelNames;

// The split depends on how the path is spelt, so tests that count stand in a folder of their own.
class StandIn {
 public:
  explicit StandIn(const std::string& folder) : home_(fs::current_path()) { fs::current_path(folder); }
  ~StandIn() { fs::current_path(home_); }
  StandIn(const StandIn&) = delete;
  StandIn& operator=(const StandIn&) = delete;

 private:
  fs::path home_;
};

void Touch(const std::string& path) {
  REQUIRE(MakeDirectories(fs::path(path).parent_path().string()).ok());
  REQUIRE(WriteFileAtomically(path, "x").ok());
}

// `count` photos called 0.jpg, 1.jpg, ...
void FillFolder(const std::string& folder, int count) {
  for (int i = 0; i < count; ++i) Touch(folder + "/" + std::to_string(i) + ".jpg");
}

bool HasLine(const ImageLists& lists, const std::string& line) {
  return std::find(lists.log.begin(), lists.log.end(), line) != lists.log.end();
}

std::string ErrorOf(const ImageListOptions& options) {
  const auto lists = CreateImageLists(options);
  REQUIRE(!lists.ok());
  CHECK(lists.status().code() == Code::kBadInput);
  return lists.status().message();
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<std::string> AllFiles(const LabelledImages& images) {
  std::vector<std::string> all;
  for (const auto& files : images.files) all.insert(all.end(), files.begin(), files.end());
  std::sort(all.begin(), all.end());
  return all;
}

// Everything into training, in the order found.
ImageListOptions NoSplit(const std::string& dir) {
  ImageListOptions options;
  options.image_dir = dir;
  options.testing_percentage = options.validation_percentage = 0;
  return options;
}

TEST_CASE("image_list: split percentages are retrain.py's to the bit") {
  CHECK(SplitPercentage("tf_files/flower_photos/daisy/21652746_cc379e0eea_m.jpg") == 51.669209090390865);
  CHECK(SplitPercentage("flower_photos/tulips/14026857634_500d7b41d6_m.jpg") == 17.063942678749132);
  CHECK(SplitPercentage("flower_photos/roses/17554868955_35f48516cd_m.jpg") == 11.736711947148383);
  CHECK(SplitPercentage("\u00fc/\u00e9.jpg") == 11.504088427901927);
}

TEST_CASE("image_list: what follows _nohash_ is left out, by the regular expression's rules") {
  CHECK(SplitPercentage("a/b_nohash_1.jpg") == 1.3945542379807996);
  CHECK(SplitPercentage("a/b_nohash_1.jpg") == SplitPercentage("a/b_nohash_2_nohash_3.jpg"));
  CHECK(SplitPercentage("a/b_nohash_1\n.jpg") == 60.15733152745166);  // '.' stops at the newline
  CHECK(SplitPercentage("a/b_nohash_1.jpg\n") == 64.7333179766932);   // '$' matches before the last one
  CHECK(SplitPercentage("a_nohash_x/b.jpg") == 93.2815022266023);     // in a folder's name as well
  CHECK(SplitPercentage("x_nohash_\ny_nohash_z") == 13.895835830985275);
}

TEST_CASE("image_list: the split of a percentage") {
  const std::string path = "flower_photos/tulips/14026857634_500d7b41d6_m.jpg";  // 17.06
  CHECK(ChooseSplit(path, 10, 10) == Split::kTesting);
  CHECK(ChooseSplit(path, 0, 17.1) == Split::kValidation);
  CHECK(ChooseSplit(path, 10, 7) == Split::kTraining);
  CHECK(ChooseSplit(path, 0, 17.063942678749132) == Split::kTraining);  // below, not up to
  CHECK(ChooseSplit(path, 100, 0) == Split::kTesting);
}

TEST_CASE("image_list: labels are cleaned as Python's lower() and the expression do") {
  const std::pair<std::string, std::string> cases[] = {
      {"Roses", "roses"},
      {"Plum  Tree", "plum tree"},
      {"ROSES-2", "roses 2"},
      {"_x_", " x "},
      {"old [1]", "old 1 "},
      {"\u00e9t\u00e9", " t "},
      {"\u65e5\u672c", " "},
      {"\u0130stanbul", "i stanbul"},
      {"\u212aelvin", "kelvin"},
      {"\u00c5", " "},
      {"", ""},
  };
  for (const auto& [folder, label] : cases) {
    CAPTURE(folder);
    CHECK(CleanLabel(folder) == label);
  }
}

TEST_CASE("image_list: the counts of retrain.py on the shared photos") {
  COUPLET_NEEDS_SHARED(shared);
  const std::string photos = fs::absolute(shared + "/data/flower_photos").string();
  const test::TempDir work;
  REQUIRE(MakeDirectories(work / "tf_files").ok());
  fs::create_directory_symlink(photos, work / "tf_files/flower_1000");
  fs::create_directory_symlink(photos, work / "flower_1000");
  fs::create_directory_symlink(photos, work / "tf_files/flower_photos");
  const StandIn here(work.path());
  struct Case {
    const char* image_dir;
    double testing, validation;
    int counts[3];
  };
  const Case cases[] = {
      {"tf_files/flower_1000", 10, 10, {790, 105, 105}},
      {"flower_1000", 10, 10, {816, 92, 92}},
      {"./flower_1000", 10, 10, {795, 113, 92}},
      {"./tf_files/flower_1000", 10, 10, {788, 102, 110}},
      {"tf_files/../flower_1000", 10, 10, {800, 114, 86}},
      {"tf_files/flower_photos", 10, 10, {820, 89, 91}},
      // os.path.join adds no second slash; one that is there stays.
      {"tf_files/flower_1000/", 10, 10, {790, 105, 105}},
      {"tf_files/flower_1000//", 10, 10, {809, 108, 83}},
      {"tf_files/flower_1000", 5, 25, {694, 254, 52}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.image_dir);
    ImageListOptions options;
    options.image_dir = c.image_dir;
    options.testing_percentage = c.testing;
    options.validation_percentage = c.validation;
    const auto lists = CreateImageLists(options);
    REQUIRE(lists.ok());
    for (size_t split = 0; split < 3; ++split) {
      size_t count = 0;
      for (const LabelledImages& images : lists->classes) count += images.files[split].size();
      CHECK(count == static_cast<size_t>(c.counts[split]));
    }
  }
}

TEST_CASE("image_list: the shared photos class by class") {
  COUPLET_NEEDS_SHARED(shared);
  const test::TempDir work;
  REQUIRE(MakeDirectories(work / "tf_files").ok());
  fs::create_directory_symlink(fs::absolute(shared + "/data/flower_photos"), work / "tf_files/flower_1000");
  const StandIn here(work.path());
  ImageListOptions options;
  options.image_dir = "tf_files/flower_1000";
  const auto lists = CreateImageLists(options);
  REQUIRE(lists.ok());
  const char* labels[] = {"daisy", "dandelion", "roses", "sunflowers", "tulips"};
  const size_t counts[][3] = {{158, 24, 18}, {154, 24, 22}, {161, 22, 17}, {163, 14, 23}, {154, 21, 25}};
  REQUIRE(lists->classes.size() == 5);
  std::vector<std::string> log;
  for (size_t i = 0; i < 5; ++i) {
    CHECK(lists->classes[i].label == labels[i]);
    for (size_t split = 0; split < 3; ++split)
      CHECK(lists->classes[i].files[split].size() == counts[i][split]);
    log.push_back(std::string("Looking for images in '") + labels[i] + "'");
  }
  CHECK(lists->log == log);  // no warning, and LICENSE.txt beside the folders is none of our business
  CHECK(lists->ignored.empty());
  const std::string path = ImagePath(options, lists->classes[0], lists->classes[0].files[0][0]);
  CHECK(path.starts_with("tf_files/flower_1000/daisy/"));
  CHECK(FileExists(path));
}

TEST_CASE("image_list: which files, in which order") {
  const test::TempDir dir;
  for (const char* name :
       {"b.JPEG", "c.jpeg", "a.JPG", "z.jpg", "10.jpg", "9.jpg", "A.jpg", ".hidden.jpg", "x.Png", "w.png",
        "v.GIF", "u.bmp", "skip.Jpg", "skip.webp", "more.webp", "noextension", "jpg"})
    Touch(dir / (std::string("one/") + name));
  Touch(dir / "two/only.jpg");
  REQUIRE(MakeDirectories(dir / "one/subfolder").ok());
  Touch(dir / "one/subfolder/deep.jpg");
  Touch(dir / "beside.jpg");
  const auto lists = CreateImageLists(NoSplit(dir.path()));
  REQUIRE(lists.ok());
  REQUIRE(lists->classes.size() == 2);
  CHECK(lists->classes[0].files[0] == std::vector<std::string>{".hidden.jpg", "10.jpg", "9.jpg", "A.jpg",
                                                               "z.jpg", "c.jpeg", "a.JPG", "b.JPEG", "w.png",
                                                               "x.Png", "u.bmp", "v.GIF"});
  CHECK(lists->ignored == std::map<std::string, int>{{"Jpg", 1}, {"webp", 2}, {"", 2}});

  ImageListOptions original = NoSplit(dir.path());
  original.extensions = {"jpg", "jpeg", "JPG", "JPEG"};
  const auto as_original = CreateImageLists(original);
  REQUIRE(as_original.ok());
  CHECK(as_original->classes[0].files[0] == std::vector<std::string>{".hidden.jpg", "10.jpg", "9.jpg",
                                                                     "A.jpg", "z.jpg", "c.jpeg", "a.JPG",
                                                                     "b.JPEG"});
  original.extensions = {"webp", "jpg"};
  const auto other = CreateImageLists(original);
  REQUIRE(other.ok());
  CHECK(other->classes[0].files[0].front() == "more.webp");
  CHECK(other->classes[0].files[0].size() == 7);
}

TEST_CASE("image_list: folders of every kind") {
  const test::TempDir dir;
  FillFolder(dir / "zebra", 20);
  FillFolder(dir / "elsewhere.d/real", 19);
  fs::create_directory_symlink(dir / "elsewhere.d/real", dir / "linked");
  fs::create_directory_symlink(dir / "nowhere", dir / "dangling");
  REQUIRE(MakeDirectories(dir / "empty").ok());
  FillFolder(dir / "old [1]", 1);
  const auto lists = CreateImageLists(NoSplit(dir.path()));
  REQUIRE(lists.ok());
  // elsewhere.d holds a folder, no photos.
  CHECK(lists->log ==
        std::vector<std::string>{"Looking for images in 'elsewhere.d'", "WARNING:No files found",
                                 "Looking for images in 'empty'", "WARNING:No files found",
                                 "Looking for images in 'linked'",
                                 "WARNING:WARNING: Folder has less than 20 images, which may cause issues.",
                                 "Looking for images in 'old [1]'",
                                 "WARNING:WARNING: Folder has less than 20 images, which may cause issues.",
                                 "Looking for images in 'zebra'"});
  REQUIRE(lists->advice.size() == 2);
  CHECK(lists->advice[0] == "'linked' has 19 photos: 100 and more are advised, and under 20 some split may lack it");
  REQUIRE(MakeDirectories(dir / "phone").ok());
  Touch(dir / "phone/a.HEIC");
  const auto with_phone = CreateImageLists(NoSplit(dir.path()));
  REQUIRE(with_phone.ok());
  CHECK(with_phone->advice.back() == "'phone' is no label: its files (1 HEIC) are not among the photos' extensions; convert "
                                     "them to JPEG or PNG");
  REQUIRE(lists->classes.size() == 3);
  CHECK(lists->classes[0].folder == "linked");
  CHECK(lists->classes[1].label == "old 1 ");
  CHECK(lists->classes[2].files[0].size() == 20);
}

TEST_CASE("image_list: folders with no use") {
  ImageListOptions options;
  options.image_dir = "/nonexistent/photos";
  CHECK(ErrorOf(options) == "Image directory '/nonexistent/photos' not found.");
  options.image_dir = "";
  CHECK(ErrorOf(options) == "Image directory '' not found.");
  const test::TempDir dir;
  Touch(dir / "beside.jpg");
  options = NoSplit(dir.path());
  CHECK(ErrorOf(options) == "No valid folders of images found at " + dir.path() +
                                "; the photos lie in it directly: put them into one folder a label, such as " + (dir / "roses"));
  const test::TempDir deeper, foreign, nothing;
  FillFolder(deeper / "train/daisy", 2);
  CHECK(Contains(ErrorOf(NoSplit(deeper.path())), "one folder deeper: give --image_dir=" + (deeper / "train")));
  FillFolder(deeper / "test/daisy", 2);
  CHECK(Contains(ErrorOf(NoSplit(deeper.path())), "one folder deeper: give --image_dir=" + (deeper / "train") +
                                                      " (after moving the photos of test into its folders: the split"));
  REQUIRE(MakeDirectories(foreign / "daisy").ok());
  Touch(foreign / "daisy/a.heic");
  Touch(foreign / "daisy/b.heic");
  Touch(foreign / "daisy/c.webp");
  CHECK(Contains(ErrorOf(NoSplit(foreign.path())), "its folders hold 2 heic, 1 webp: convert such photos to JPEG or PNG"));
  CHECK(Contains(ErrorOf(NoSplit(nothing.path())), "it takes one folder a label"));
  FillFolder(dir / "one", 2);
  CHECK(ErrorOf(options) == "Only one valid folder of images found at " + dir.path() +
                                " - multiple classes are needed for classification.");
  options.image_dir = dir / "beside.jpg";
  CHECK(Contains(ErrorOf(options), "not found"));
}

TEST_CASE("image_list: two folders with one label") {
  const test::TempDir dir;
  FillFolder(dir / "Plum Tree", 1);
  FillFolder(dir / "apple", 2);
  FillFolder(dir / "plum-tree", 3);
  ImageListOptions options = NoSplit(dir.path());
  const std::string error = ErrorOf(options);
  CHECK(Contains(error, "'Plum Tree'"));
  CHECK(Contains(error, "'plum-tree'"));
  CHECK(Contains(error, "--label_names=folder"));
  options.label_names = LabelNames::kFolder;
  const auto by_folder = CreateImageLists(options);
  REQUIRE(by_folder.ok());
  REQUIRE(by_folder->classes.size() == 3);
  CHECK(by_folder->classes[0].label == "Plum Tree");
  CHECK(by_folder->classes[2].label == "plum-tree");
  // The original: the later replaces the earlier and takes its place.
  options.label_names = LabelNames::kTensorFlow;
  const auto original = CreateImageLists(options);
  REQUIRE(original.ok());
  REQUIRE(original->classes.size() == 2);
  CHECK(original->classes[0].label == "plum tree");
  CHECK(original->classes[0].folder == "plum-tree");
  CHECK(original->classes[0].files[0].size() == 3);
  CHECK(original->classes[1].label == "apple");
}

TEST_CASE("image_list: labels with nothing left in them") {
  const test::TempDir dir;
  FillFolder(dir / "\u65e5\u672c", 1);
  FillFolder(dir / "apple", 1);
  ImageListOptions options = NoSplit(dir.path());
  const std::string error = ErrorOf(options);
  CHECK(Contains(error, "\u65e5\u672c"));
  CHECK(Contains(error, "--label_names=folder"));
  options.label_names = LabelNames::kFolder;
  const auto by_folder = CreateImageLists(options);
  REQUIRE(by_folder.ok());
  CHECK(by_folder->classes[1].label == "\u65e5\u672c");
  options.label_names = LabelNames::kTensorFlow;
  const auto original = CreateImageLists(options);
  REQUIRE(original.ok());
  CHECK(original->classes[1].label == " ");
  FillFolder(dir / "two\nlines", 1);
  options.label_names = LabelNames::kFolder;
  CHECK(Contains(ErrorOf(options), "line break"));
}

TEST_CASE("image_list: a split that gets nothing") {
  const test::TempDir work;
  const StandIn here(work.path());
  FillFolder("photos/a", 40);
  Touch("photos/b/0.jpg");
  ImageListOptions options;
  options.image_dir = "photos";
  // One photo falls into one split, which its path decides.
  const double percentage = SplitPercentage("photos/b/0.jpg");
  options.validation_percentage = std::min(10.0, percentage / 2);
  options.testing_percentage = std::min(10.0, percentage / 2);
  REQUIRE(percentage > 1);
  const auto lists = CreateImageLists(options);
  REQUIRE(lists.ok());
  CHECK(HasLine(*lists,
                "WARNING:No photo of 'b' falls into the validation split; going on with what there is."));
  CHECK(
      HasLine(*lists, "WARNING:No photo of 'b' falls into the testing split; going on with what there is."));
  // A split nobody asked for is not missed.
  options.testing_percentage = options.validation_percentage = 0;
  const auto unsplit = CreateImageLists(options);
  REQUIRE(unsplit.ok());
  for (const std::string& line : unsplit->log) CHECK_FALSE(Contains(line, "going on"));
  options.testing_percentage = percentage + 1;
  const std::string error = ErrorOf(options);
  CHECK(Contains(error, "'b'"));
  CHECK(Contains(error, "--testing_percentage"));
}

TEST_CASE("image_list: every photo is in exactly one split") {
  const test::TempDir dir;
  FillFolder(dir / "a", 300);
  FillFolder(dir / "b", 100);
  ImageListOptions options;
  options.image_dir = dir.path();
  const auto lists = CreateImageLists(options);
  REQUIRE(lists.ok());
  const std::vector<std::string> all = AllFiles(lists->classes[0]);
  CHECK(all.size() == 300);
  CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
  for (const auto& files : lists->classes[0].files) CHECK(!files.empty());
}

TEST_CASE("image_list: the same lists, and the same first complaint, whatever the threads [threads]") {
  const test::TempDir dir;
  const std::string root = dir / "p";
  for (int i = 0; i < 12; ++i) FillFolder(root + "/label " + std::to_string(i), 3 + 2 * i);
  Touch(root + "/label 3/note.txt");
  REQUIRE(MakeDirectories(root + "/label 40").ok());
  Touch(root + "/beside.jpg");
  ImageListOptions options;
  options.image_dir = root;
  options.training = false;
  const auto one = CreateImageLists(options, 1);
  REQUIRE(one.ok());
  REQUIRE(one->classes.size() == 12);
  for (const int threads : {2, 5, 30}) {
    CAPTURE(threads);
    const auto many = CreateImageLists(options, threads);
    REQUIRE(many.ok());
    CHECK(many->log == one->log);
    CHECK(many->advice == one->advice);
    CHECK(many->ignored == one->ignored);
    REQUIRE(many->classes.size() == one->classes.size());
    for (size_t c = 0; c < one->classes.size(); ++c) {
      CHECK(many->classes[c].label == one->classes[c].label);
      CHECK(many->classes[c].folder == one->classes[c].folder);
      CHECK(many->classes[c].files == one->classes[c].files);
    }
  }
  FillFolder(root + "/Label 7", 3);  // sorted first, so that "label 7" is the second of that label
  FillFolder(root + "/Label 2", 3);
  const auto complaint = CreateImageLists(options, 1).status().message();
  CHECK(Contains(complaint, "'Label 2' and 'label 2'"));
  for (int i = 0; i < 20; ++i) CHECK(CreateImageLists(options, 4).status().message() == complaint);
}

}  // namespace
}  // namespace couplet

// Odd surroundings: strange names, things in the photo folder that are no photos, other runs at the same time, photos that go
// while they are read, many photos, many classes, data that cannot be learnt.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/fault_job.h"
#include "tests/support/pictures.h"
#include "tests/support/reliability.h"

using namespace couplet::test;
namespace fs = std::filesystem;

namespace {

// A folder of its own with the small backbone and generated photos, and retrain in it.
struct Place {
  explicit Place(int photos_per_label = 8) {
    fs::copy_file("weights/couplet_mobilenet_v1_0.25_128.pb", dir / "backbone.pb");
    if (photos_per_label > 0) WritePhotoFolders(dir / "photos", {"red", "green", "blue"}, photos_per_label, 7);
  }
  std::vector<std::string> Command(const std::string& out, const std::vector<std::string>& more) const {
    std::vector<std::string> argv = {ProgramPath("retrain"), "--device=cpu", "--model_file=" + fs::absolute(dir / "backbone.pb").string(),
                                     "--image_dir=photos", "--bottleneck_dir=bottlenecks", "--output_graph=" + out + "/graph.pb",
                                     "--output_labels=" + out + "/labels.txt", "--summaries_dir=" + out + "/summaries",
                                     "--json=" + out + "/report.json", "--threads=2", "--how_many_training_steps=20", "--train_batch_size=8"};
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  }
  ProcessResult Retrain(const std::string& out, const std::vector<std::string>& more = {}, const std::vector<std::string>& env = {}) const {
    // A hundred thousand photos take minutes to read on a busy machine.
    return RunProcess(Command(out, more), env, Whole() ? 1800 : 300, dir.path());
  }
  nlohmann::json Report(const std::string& out) const { return nlohmann::json::parse(FileContents(dir / (out + "/report.json"))); }
  std::string Graph(const std::string& out) const { return FileContents(dir / (out + "/graph.pb")); }
  TempDir dir;
};

bool EndsWithOneError(const ProcessResult& run) {
  const size_t at = run.err.rfind("retrain: error: ");
  return at != std::string::npos && run.err.find('\n', at) == run.err.size() - 1;
}

}  // namespace

TEST_CASE("faults: two runs on one bottleneck folder at once both end with the bytes of one alone") {
  Count count("two-runs", 20);
  const Place place(20);
  REQUIRE(place.Retrain("alone").code == 0);
  const std::string graph = place.Graph("alone");
  for (int round = 0; round < (Whole() ? 20 : 2); ++round) {
    fs::remove_all(place.dir / "bottlenecks");
    const std::vector<std::string> format = {round % 2 == 0 ? "--bottleneck_format=sqlite" : "--bottleneck_format=text"};
    ProcessResult first, second;
    std::thread other([&] { first = place.Retrain("first", format); });
    second = place.Retrain("second", format);
    other.join();
    if (first.code != 0 || second.code != 0) count.Finding(first.err + second.err);
    else if (place.Graph("first") != graph || place.Graph("second") != graph) count.Finding("another graph");
    if (first.err.find("WARNING:tensorflow:cannot") != std::string::npos || second.err.find("WARNING:tensorflow:cannot") != std::string::npos)
      count.Finding(first.err + second.err);
    count.Done();
  }
}

TEST_CASE("faults: label_image reads one graph or the other while it is replaced, never a mixture") {
  Count count("replaced-graph", 200);
  const Place place;
  REQUIRE(place.Retrain("a").code == 0);
  REQUIRE(place.Retrain("b", {"--seed=5", "--learning_rate=0.2"}).code == 0);
  const auto label = [&](const std::string& out) {
    return RunProcess({ProgramPath("label_image"), "--device=cpu", "--graph=" + out + "/graph.pb", "--labels=a/labels.txt", "--format=tsv",
                       "photos/red/red_0.jpg"}, {}, 60, place.dir.path());
  };
  const std::string a = label("a").out, b = label("b").out;
  REQUIRE(a != b);
  REQUIRE(fs::create_directory(place.dir / "c"));
  fs::copy_file(place.dir / "a/graph.pb", place.dir / "c/graph.pb");
  std::atomic<bool> over = false;
  std::thread writer([&] {
    // As retrain does it: beside, then renamed.
    for (int i = 0; !over; ++i) {
      fs::copy_file(place.dir / (i % 2 == 0 ? "b/graph.pb" : "a/graph.pb"), place.dir / "c/beside", fs::copy_options::overwrite_existing);
      fs::rename(place.dir / "c/beside", place.dir / "c/graph.pb");
    }
  });
  for (int i = 0; i < (Whole() ? 200 : 5); ++i) {
    const ProcessResult run = label("c");
    if (run.code != 0 || (run.out != a && run.out != b)) count.Finding(run.out + run.err);
    count.Done();
  }
  over = true;
  writer.join();
}

TEST_CASE("faults: photos deleted, cut short and rewritten while they are read are left out or as they were, and the run ends") {
  Count count("changing-photos", 20);
  for (int round = 0; round < (Whole() ? 20 : 2); ++round) {
    const Place place(30);
    std::atomic<bool> over = false;
    std::thread vandal([&] {
      for (int i = 0; !over; ++i) {
        const std::string path = place.dir / ("photos/green/green_" + std::to_string((i * 7 + round) % 29 + 1) + ".jpg");
        std::error_code ignored;
        if (i % 3 == 0) fs::remove(path, ignored);
        if (i % 3 == 1) std::ofstream(path, std::ios::binary) << "no photo any more";
        if (i % 3 == 2) fs::resize_file(path, 300, ignored);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    const ProcessResult run = place.Retrain("out");
    over = true;
    vandal.join();
    // A class may lose so many that training is refused.
    if (run.code != 0 && !(run.code == 2 && EndsWithOneError(run))) count.Finding(run.err);
    // Nothing of what changed was kept as something else: what is readable now gives what a fresh cache gives.
    const ProcessResult warm = place.Retrain("warm"), cold = place.Retrain("cold", {"--bottleneck_dir=fresh"});
    if (warm.code != cold.code) count.Finding(warm.err + cold.err);
    else if (warm.code == 0 && place.Graph("warm") != place.Graph("cold")) count.Finding("a stale bottleneck was kept");
    count.Done();
  }
}

TEST_CASE("faults: a clock that goes back changes nothing, and no photo that changed is taken for what it was") {
  Count count("clock", 3);
  const Place place;
  REQUIRE(place.Retrain("now").code == 0);
  const std::string graph = place.Graph("now");
  // Photos from the future, and from before 1970.
  timespec times[2] = {{4'000'000'000, 0}, {4'000'000'000, 0}};
  REQUIRE(utimensat(AT_FDCWD, (place.dir / "photos/red/red_0.jpg").c_str(), times, 0) == 0);
  times[0].tv_sec = times[1].tv_sec = -1'000'000;
  REQUIRE(utimensat(AT_FDCWD, (place.dir / "photos/red/red_1.jpg").c_str(), times, 0) == 0);
  REQUIRE(place.Retrain("moved").code == 0);
  CHECK(place.Graph("moved") == graph);
  CHECK(place.Report("moved")["bottlenecks"]["computed"] == 0);
  count.Done(2);
  // Another photo with the very times of the one before.
  struct stat before {};
  REQUIRE(stat((place.dir / "photos/red/red_2.jpg").c_str(), &before) == 0);
  fs::copy_file(place.dir / "photos/green/green_3.jpg", place.dir / "photos/red/red_2.jpg", fs::copy_options::overwrite_existing);
  const timespec back[2] = {before.st_atim, before.st_mtim};
  REQUIRE(utimensat(AT_FDCWD, (place.dir / "photos/red/red_2.jpg").c_str(), back, 0) == 0);
  REQUIRE(place.Retrain("other").code == 0);
  REQUIRE(place.Retrain("fresh", {"--bottleneck_dir=fresh"}).code == 0);
  CHECK(place.Graph("other") == place.Graph("fresh"));
  count.Done();
  count.Note("photos from the future, from before 1970, and another with the times of the one before");
}

TEST_CASE("faults: paths with spaces, line breaks, bytes that are no UTF-8 and 4,000 characters") {
  Count count("paths", 9);
  Place place(0);
  for (const std::string& name : {std::string("with  spaces "), std::string("line\nbreak"), std::string("\xff\xfe not UTF-8"),
                                  std::string("-dash"), std::string("quote'\"$(x)`")}) {
    CAPTURE(name);
    fs::remove_all(place.dir / name);
    WritePhotoFolders(place.dir / (name + "/ph otos"), {"red " + name.substr(0, 5), "blue"}, 6, 7);
    const std::vector<std::string> flags = {"--image_dir=" + name + "/ph otos", "--bottleneck_dir=" + name + "/b", "--testing_percentage=0",
                                            "--output_graph=" + name + "/g.pb", "--output_labels=" + name + "/l.txt", "--validation_percentage=0",
                                            "--summaries_dir=" + name + "/s", "--json=" + name + "/report.json"};
    const ProcessResult run = place.Retrain("x", flags);
    CHECK_MESSAGE(run.code == 0, run.err);
    CHECK(nlohmann::json::accept(FileContents(place.dir / (name + "/report.json"))));
    const std::string photo = name + "/ph otos/blue/blue_0.jpg";
    for (const char* format : {"text", "tsv", "json"}) {
      const ProcessResult label = RunProcess({ProgramPath("label_image"), "--graph=" + name + "/g.pb", "--labels=" + name + "/l.txt",
                                              "--image=" + photo, std::string("--format=") + format}, {}, 60, place.dir.path());
      CHECK_MESSAGE(label.code == 0, label.err);
      CHECK(label.out.find("blue") != std::string::npos);
      if (std::string(format) == "json") CHECK(nlohmann::json::accept(label.out));
    }
    count.Done();
  }
  // 4,000 characters, each part as long as a name can be; and one more part than a path can have.
  std::string deep;
  for (int i = 0; i < 15; ++i) deep += fmt::format("{:d>250}/", "");
  REQUIRE(deep.size() > 3'700);
  const std::string root = place.dir / "";
  const int here = open(root.c_str(), O_RDONLY | O_DIRECTORY);
  int at = dup(here);
  for (int i = 0; i < 15; ++i) {
    REQUIRE(mkdirat(at, std::string(250, 'd').c_str(), 0755) == 0);
    const int next = openat(at, std::string(250, 'd').c_str(), O_RDONLY | O_DIRECTORY);
    close(at);
    at = next;
  }
  // The photos' folders hang there by a link, as no path can be made to them in one go.
  WritePhotoFolders(place.dir / "photos", {"red", "blue"}, 6, 7);
  REQUIRE(symlinkat(fs::absolute(place.dir / "photos").c_str(), at, "p") == 0);
  close(at);
  close(here);
  const std::vector<std::string> no_splits = {"--testing_percentage=0", "--validation_percentage=0"};
  std::vector<std::string> flags = no_splits;
  flags.push_back("--image_dir=" + deep + "p");
  const ProcessResult run = place.Retrain("deep", flags);
  CHECK_MESSAGE(run.code == 0, run.err.substr(run.err.size() > 500 ? run.err.size() - 500 : 0));
  flags.back() = fmt::format("--image_dir={}{:d>250}/{:d>250}", deep, "", "");
  const ProcessResult too_deep = place.Retrain("deeper", flags);
  CHECK(too_deep.code == 2);
  CHECK(EndsWithOneError(too_deep));
  // The graph's name has no room beside it for a name of its own, but for a short one.
  flags = no_splits;
  flags.push_back(fmt::format("--output_graph={:g>230}", ""));
  CHECK(place.Retrain("long", flags).code == 0);
  flags.back() = fmt::format("--output_graph={:g>256}", "");
  const ProcessResult too_long = place.Retrain("longer", flags);
  CHECK(too_long.code == 4);
  CHECK(EndsWithOneError(too_long));
  count.Done(4);
  count.Note("blanks, line breaks, no UTF-8, dashes, quotes; as long as a path and a name may be, and longer");
}

TEST_CASE("faults: loops of links, FIFOs, sockets and devices in the photo folder are passed over by name, and nothing waits") {
  Count count("odd-files", 8);
  const Place place;
  REQUIRE(place.Retrain("before").code == 0);
  const std::string red = place.dir / "photos/red/";
  REQUIRE(symlink("loop", (place.dir / "photos/loop").c_str()) == 0);
  REQUIRE(symlink("..", (place.dir / "photos/red/up").c_str()) == 0);
  REQUIRE(symlink("self.jpg", (red + "self.jpg").c_str()) == 0);
  REQUIRE(symlink("nowhere.jpg", (red + "dangling.jpg").c_str()) == 0);
  REQUIRE(mkfifo((red + "fifo.jpg").c_str(), 0600) == 0);
  REQUIRE(symlink("/dev/zero", (red + "zero.jpg").c_str()) == 0);
  REQUIRE(symlink("/proc/self/mem", (red + "mem.jpg").c_str()) == 0);
  REQUIRE(fs::create_directory(red + "folder.jpg"));
  const ProcessResult run = place.Retrain("out");
  CHECK_MESSAGE(run.code == 0, run.err);
  CHECK(place.Graph("out") == place.Graph("before"));
  CHECK(place.Report("out")["left_out"].size() == 6);
  const ProcessResult label = RunProcess({ProgramPath("label_image"), "--graph=out/graph.pb", "--labels=out/labels.txt", "photos/red/fifo.jpg",
                                          "photos/red/zero.jpg", "photos/red/self.jpg", "photos/red/red_0.jpg"}, {}, 60, place.dir.path());
  CHECK(label.code == 2);
  CHECK_HAS(label.out, "red");
  count.Done(8);
  count.Note("loops of links, a link to nothing, a FIFO, devices and a folder with photos' names");
}

TEST_CASE("faults: very many photos in one class, one class alone, and very many classes") {
  Count count("sizes", 3);
  const size_t many = Whole() ? 100'000 : Sanitized() ? 200 : 1'000, classes = Whole() ? 1'000 : 120;
  Place place(0);
  WritePhotoFolders(place.dir / "photos", {"red", "blue"}, 3, 7);
  // Three photos under many names, as a file may have 65,000 at most.
  for (size_t i = 0; i < many; ++i)
    fs::create_hard_link(place.dir / ("photos/red/red_" + std::to_string(i % 3) + ".jpg"), place.dir / ("photos/red/link_" + std::to_string(i) + ".jpg"));
  const ProcessResult run = place.Retrain("many", {"--train_batch_size=100"});
  CHECK_MESSAGE(run.code == 0, run.err.substr(0, 2000));
  CHECK(place.Report("many")["bottlenecks"]["computed"].get<size_t>() + place.Report("many")["bottlenecks"]["cached"].get<size_t>() == many + 6);
  fs::remove_all(place.dir / "photos/blue");
  const ProcessResult one = place.Retrain("one");
  CHECK(one.code == 2);
  CHECK(EndsWithOneError(one));
  CHECK_HAS(one.err, "Only one valid folder of images");
  fs::remove_all(place.dir / "photos/red");
  for (size_t c = 0; c < classes; ++c) {
    const std::string folder = place.dir / ("photos/class " + std::to_string(c));
    REQUIRE(fs::create_directory(folder));
    WriteBytes(folder + "/a.jpg", EncodeJpeg(MakePicture(24, 20, c, static_cast<double>(c) / static_cast<double>(classes)), 24, 20));
  }
  const ProcessResult wide = place.Retrain("wide", {"--testing_percentage=0", "--validation_percentage=0", "--train_batch_size=-1"});
  CHECK_MESSAGE(wide.code == 0, wide.err.substr(0, 2000));
  CHECK(place.Report("wide")["labels"].size() == classes);
  const ProcessResult label = RunProcess({ProgramPath("label_image"), "--graph=wide/graph.pb", "--labels=wide/labels.txt",
                                          "--image=photos/class 7/a.jpg"}, {}, 60, place.dir.path());
  CHECK_MESSAGE(label.code == 0, label.err);
  count.Done(3);
  count.Note(std::to_string(many) + " photos in one class, one class, " + std::to_string(classes) + " classes");
}

TEST_CASE("faults: learning rates and data that cannot be learnt from end with a graph or with exit 5, never with a number that is none") {
  Count count("divergence", 9);
  Place place;
  const auto run = [&](const std::string& rate, const std::vector<int>& codes, const std::string& word) {
    const ProcessResult result = place.Retrain("out", {"--learning_rate=" + rate, "--how_many_training_steps=200"});
    CAPTURE(rate);
    CAPTURE(result.err);
    if (std::find(codes.begin(), codes.end(), result.code) == codes.end())
      count.Finding(rate + ": exit code " + std::to_string(result.code) + ": " + result.err);
    if (result.err.find(word) == std::string::npos) count.Finding(rate + ": not said: " + word);
    if (result.code == 0 || result.code == 5) {
      // The graph is there, and all of its weights are finite: label_image refuses others.
      const ProcessResult label = RunProcess({ProgramPath("label_image"), "--graph=out/graph.pb", "--labels=out/labels.txt",
                                              "photos/" + fs::directory_iterator(place.dir / "photos")->path().filename().string()},
                                             {}, 60, place.dir.path());
      if (label.code != 0 || label.out.find("nan") != std::string::npos) count.Finding(rate + ": " + label.err);
    }
    count.Done();
  };
  run("1.0", {0}, "Final test accuracy");
  run("10", {0, 5}, "Step 0");
  // What the classes are apart by may carry even this, in finite numbers.
  run("1e30", {0, 5}, "Step 0");
  run("0", {0}, "Final test accuracy");
  run("-0.01", {2}, "--learning_rate");
  run("nan", {2}, "--learning_rate");
  run("inf", {2}, "--learning_rate");
  // The same photo everywhere: features are constant, and each photo is in all classes.
  for (const auto& entry : fs::recursive_directory_iterator(place.dir / "photos"))
    if (entry.is_regular_file() && entry.path().filename() != "red_0.jpg")
      fs::copy_file(place.dir / "photos/red/red_0.jpg", entry.path(), fs::copy_options::overwrite_existing);
  run("0.01", {0}, "Final test accuracy");
  // One colour: as constant as a photo can be.
  const std::vector<uint8_t> grey = EncodeJpeg(std::vector<uint8_t>(64 * 64 * 3, 128), 64, 64);
  for (const auto& entry : fs::recursive_directory_iterator(place.dir / "photos"))
    if (entry.is_regular_file()) WriteBytes(entry.path().string(), grey);
  run("0.01", {0}, "Final test accuracy");
}

TEST_CASE("faults: a full disk: training finishes without the cache, the final write fails with exit 4 and leaves the old model") {
  Place place(20);
  const std::string disk = place.dir / "disk";
  REQUIRE(fs::create_directory(disk));
  // Room for the labels and for nothing as large as a store or a graph.
  if (mount("none", disk.c_str(), "tmpfs", 0, "size=64k") != 0) COUPLET_SKIP("mounting a tmpfs is not allowed");
  std::ofstream(disk + "/old.pb") << "old";
  const ProcessResult no_cache = place.Retrain("out", {"--bottleneck_dir=disk/bottlenecks"});
  const std::string graph = no_cache.code == 0 ? place.Graph("out") : "";
  const ProcessResult no_room = place.Retrain("full", {"--output_graph=disk/old.pb"});
  const std::string old = FileContents(disk + "/old.pb");
  const auto left = std::distance(fs::directory_iterator(disk), fs::directory_iterator());
  REQUIRE(umount2(disk.c_str(), MNT_DETACH) == 0);
  Count count("full-disk", 2);
  CHECK_MESSAGE(no_cache.code == 0, no_cache.err);
  CHECK_HAS(no_cache.err, "disk/bottlenecks/bottlenecks.sqlite: the disk is full");
  REQUIRE(place.Retrain("room").code == 0);
  CHECK((graph == place.Graph("room")));
  CHECK(no_room.code == 4);
  CHECK(EndsWithOneError(no_room));
  CHECK_HAS(no_room.err, "cannot write disk/old.pb: No space left on device");
  CHECK(old == "old");
  CHECK(left <= 2);  // the old model and the store of before
  count.Done(2);
  count.Note("a tmpfs of 64 KB: for the cache, for the graph");
}

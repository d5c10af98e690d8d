// retrain's page: its figures, its escapes, its size, and what a browser makes of it.
// SPDX-License-Identifier: Apache-2.0
#include "apps/report_page.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/report_sections.h"
#include "loaders/image.h"
#include "tests/support/browser.h"
#include "tests/support/emulator.h"
#include "tests/support/graph_generator.h"
#include "tests/support/pictures.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

namespace fs = std::filesystem;
using test::FileContents;

// Labels and files as nobody should name them, and one that is no photo.
constexpr const char* kEvilLabel = "<b>x & \"y\" 'z'";
constexpr const char* kEvilFile = "<img src=x onerror=alert(1)>.jpg";

struct Shop {
  Shop() {
    fs::copy_file("weights/couplet_mobilenet_v1_0.25_128.pb", dir / "backbone.pb");
    test::WritePhotoFolders(dir / "photos", {"red", "green", "blue"}, 30, 7);
    fs::rename(dir / "photos/red", (dir / "photos/") + kEvilLabel);
    fs::rename((dir / "photos/") + kEvilLabel + "/red_0.jpg", (dir / "photos/") + kEvilLabel + "/" + kEvilFile);
    std::ofstream(dir / "photos/green/note.jpg") << "not a photo";
    // Copies of one photo land on both sides of the split, or all on one: with so many, surely on both.
    for (int i = 0; i < 20; ++i)
      fs::copy_file(dir / "photos/blue/blue_1.jpg", (dir / "photos/blue/copy_") + std::to_string(i) + ".jpg");
  }
  test::ProcessResult Retrain(std::vector<std::string> more = {}) {
    std::vector<std::string> argv = {test::ProgramPath("retrain"), "--model_file=backbone.pb", "--image_dir=photos",
                                     "--label_names=folder", "--output_graph=out.pb", "--output_labels=out.txt",
                                     "--bottleneck_dir=b", "--summaries_dir=", "--json=out.json", "--how_many_training_steps=20",
                                     "--testing_percentage=20"};
    argv.insert(argv.end(), more.begin(), more.end());
    return test::RunProcess(argv, {}, 120, dir.path());
  }
  std::string Page() { return FileContents(dir / "out_report.html"); }
  nlohmann::json Json() { return nlohmann::json::parse(FileContents(dir / "out.json")); }

  test::TempDir dir;
};

std::string Between(const std::string& text, const std::string& begin, const std::string& end) {
  const size_t at = text.find(begin);
  if (at == std::string::npos) return "";
  return text.substr(at + begin.size(), text.find(end, at + begin.size()) - at - begin.size());
}

// What page.js is given.
nlohmann::json DataOf(const std::string& page) {
  return nlohmann::json::parse(Between(page, "<script type=\"application/json\" id=\"data\">", "</script>"));
}

TEST_CASE("report page: its figures are those of --json") {
  Shop shop;
  const auto run = shop.Retrain();
  INFO(run.err);
  REQUIRE(run.code == 0);
  const std::string page = shop.Page();
  const auto json = shop.Json();
  CHECK(json["report"] == "out_report.html");
  const int n = json["test"]["count"];
  REQUIRE(n > 5);
  CHECK_HAS(page, fmt::format("<strong>{:.1f} %</strong><span>of {} test photos are recognised (N = {})",
                              json["test"]["accuracy"].get<double>() * 100, n, n));
  for (const auto& [split, count] : json["photos"].items())
    CHECK_HAS(page, fmt::format("{}: N = {}<b>", split == "training" ? "Training" : split == "validation" ? "Validation" : "Testing",
                                count.get<int>()));
  // The confusion matrix, row by row.
  std::string matrix = Between(page, "<table class=\"confusion\">", "</table>");
  std::vector<int> cells;
  for (size_t at = 0; (at = matrix.find("<td class=\"cell\"", at)) != std::string::npos; ++at) {
    const std::string cell = matrix.substr(at, matrix.find("</td>", at) - at);
    const size_t end = cell.find(cell.find("button") != std::string::npos ? "</button>" : "</span>");
    cells.push_back(std::stoi(cell.substr(cell.rfind('>', end - 1) + 1)));
  }
  std::vector<int> expected;
  for (const auto& row : json["test"]["confusion"])
    for (const int count : row) expected.push_back(count);
  CHECK(cells == expected);
  for (const auto& one : json["test"]["classes"])
    if (!one["recall"].is_null() && !one["precision"].is_null())
      CHECK_HAS(page, fmt::format("<td>{}</td><td>{:.1f} %</td><td>{:.1f} %</td>", one["count"].get<int>(),
                                  one["precision"].get<double>() * 100, one["recall"].get<double>() * 100));
  // Each test photo once, in its cell, with its picture.
  const auto photos = DataOf(page)["photos"];
  CHECK(photos.size() == static_cast<size_t>(n));
  std::vector<int> counted(expected.size());
  for (const auto& photo : photos) {
    ++counted[photo["cell"].get<size_t>()];
    CHECK(photo["thumbnail"].get<std::string>().starts_with("/9j/"));
  }
  CHECK(counted == expected);
  // Curves: the last evaluation's values.
  const auto last = json["history"].back();
  CHECK_HAS(page, fmt::format("[{},{:.6g}]", last["step"].get<int>(), last["train_accuracy"].get<double>()));
  CHECK_HAS(page, json["graph_sha256"].get<std::string>());
  CHECK_HAS(page, "expected a JPEG, PNG, GIF or BMP image, found text");
}

TEST_CASE("report page: copies across splits are found, names are escaped, the command repeats the run") {
  Shop shop;
  REQUIRE(shop.Retrain().code == 0);
  const std::string page = shop.Page(), graph = FileContents(shop.dir / "out.pb");
  CHECK_HAS(page, "held-out photos have</a> nearly the same photo in training");
  CHECK_HAS(page, "blue/copy_");
  CHECK_HAS(page, "&lt;b&gt;x &amp; &quot;y&quot; &#39;z&#39;");
  for (const char* raw : {"<b>x", "<img src=x"}) CHECK(page.find(raw) == std::string::npos);
  std::string command = Between(page, "<h3>To repeat it</h3><pre>", "</pre>");
  CHECK_HAS(command, "--seed=0");
  // The program's path may be relative to where the suite runs.
  command.replace(0, command.find(' '), test::EmulatorPrefix() + fs::absolute(test::ProgramPath("retrain")).string());
  fs::remove(shop.dir / "out.pb");
  REQUIRE(test::RunProcess({"sh", "-c", command}, {}, 120, shop.dir.path()).code == 0);
  CHECK(FileContents(shop.dir / "out.pb") == graph);
}

TEST_CASE("report page: copies that were not looked for are not said to be none") {
  RetrainOptions options;
  BackboneOptions network;
  network.model_file = "weights/couplet_mobilenet_v1_0.25_128.pb";
  const Backbone backbone = Backbone::Open(network, {}).value();
  const PhotoSet set;
  RetrainReport report;
  PhotoAlbum album(set, report, "");
  const ReportInput in{options, backbone, set, report};
  CHECK_HAS(DuplicatesSection(in, album), "Not known: the search was interrupted");
  report.near_duplicates.emplace();
  CHECK_HAS(DuplicatesSection(in, album), "None was found");
}

TEST_CASE("report page: --report names it, an empty one turns it off") {
  Shop shop;
  REQUIRE(shop.Retrain({"--report="}).code == 0);
  CHECK_FALSE(fs::exists(shop.dir / "out_report.html"));
  CHECK(shop.Json()["report"] == "");
  CHECK_FALSE(shop.Json()["seconds"].contains("checks"));
  REQUIRE(shop.Retrain({"--report=sub/mine.html"}).code == 0);
  CHECK(fs::exists(shop.dir / "sub/mine.html"));
  // A warm run shows the same pictures, from the store: taken away, there are none.
  for (const auto& entry : fs::recursive_directory_iterator(shop.dir / "photos"))
    if (entry.path().filename() == "blue_1.jpg") fs::last_write_time(entry, fs::last_write_time(entry));
  REQUIRE(shop.Retrain({"--bottleneck_format=text", "--bottleneck_dir=t"}).code == 0);
  CHECK_HAS(shop.Page(), "no picture kept");
  CHECK(shop.Retrain({"--report=/proc/nowhere/x.html"}).code == 4);
}

TEST_CASE("report page: a browser runs it without a word, and a click shows a cell's photos") {
  COUPLET_NEEDS_BROWSER();
  Shop shop;
  REQUIRE(shop.Retrain().code == 0);
  const std::string path = shop.dir / "out_report.html";
  const test::BrowsedPage page = test::Browse(path, "<script>document.querySelector('table.confusion button').click();"
                                                    "document.querySelector('svg').dispatchEvent(new PointerEvent('pointermove', "
                                                    "{clientX: 200, clientY: 700}));</script>");
  CHECK(page.console == "");
  const std::string shown = Between(page.dom, "id=\"cell-photos\"", "</section>");
  size_t figures = 0;
  for (size_t at = 0; (at = shown.find("<figure", at)) != std::string::npos; ++at) ++figures;
  const auto confusion = shop.Json()["test"]["confusion"];
  int first = 0;
  for (const auto& row : confusion)
    for (const int count : row)
      if (first == 0) first = count;
  CHECK(figures == static_cast<size_t>(first));
  CHECK_HAS(shown, "data:image/jpeg;base64,");
  CHECK_HAS(page.dom, "<g class=\"pointer\"><line");
  CHECK(page.dom.find("<img src=\"x\"") == std::string::npos);
  // An error would have been seen.
  CHECK_HAS(test::Browse(path, "<script>nothing.there();</script>").console, "nothing is not defined");
}

TEST_CASE("report page: there is something to see, on a desk and on a phone") {
  COUPLET_NEEDS_BROWSER();
  Shop shop;
  REQUIRE(shop.Retrain().code == 0);
  for (const auto& [width, height] : {std::pair{1280, 2000}, std::pair{500, 1200}}) {
    const std::string png = test::Screenshot(shop.dir / "out_report.html", width, height);
    Image image;
    REQUIRE(DecodeImage({reinterpret_cast<const uint8_t*>(png.data()), png.size()}, {}, &image).ok());
    CHECK(image.entry.width == width);
    std::set<uint32_t> colours;
    for (size_t i = 0; i + 2 < image.pixels.size(); i += 3)
      colours.insert(image.pixels[i] << 16 | image.pixels[i + 1] << 8 | image.pixels[i + 2]);
    CHECK(colours.size() > 200);
  }
}

}  // namespace
}  // namespace couplet

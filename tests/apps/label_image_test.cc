// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "loaders/labels.h"
#include "models/calibration.h"
#include "tests/support/emulator.h"
#include "tests/support/graph_generator.h"
#include "tests/support/pictures.h"
#include "tests/support/test.h"

using namespace couplet::test;
namespace fs = std::filesystem;

namespace {

void Spill(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

// A retrained graph of three labels, its labels beside it, and four pictures.
struct Desk {
  Desk() {
    MobileNetOptions options;
    options.head_classes = 3;
    Spill(dir / "retrained_graph.pb", GenerateMobileNet(options));
    Spill(dir / "retrained_labels.txt", "ant\nbee\ncat\n");
    WritePhotoFolders(dir / "photos", {"a", "b"}, 2, 3);
  }
  ProcessResult Label(std::vector<std::string> args, bool with_graph = true) {
    if (with_graph) args.insert(args.begin(), "--graph=" + (dir / "retrained_graph.pb"));
    args.insert(args.begin(), ProgramPath("label_image"));
    return RunProcess(args);
  }
  std::string Photo(const std::string& name) { return dir / ("photos/" + name); }
  TempDir dir;
};

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::stringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

void CheckRefused(const ProcessResult& run, int code, const std::string& part) {
  CAPTURE(run.err);
  CHECK(run.code == code);
  CHECK(run.out == "");
  const auto lines = Lines(run.err);
  REQUIRE_FALSE(lines.empty());
  CHECK(lines.back().starts_with("label_image: error: "));
  CHECK(lines.back().find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("label_image: one photo prints what label_image.py prints") {
  Desk desk;
  const ProcessResult run = desk.Label({"--image=" + desk.Photo("a/a_0.jpg")});
  INFO(run.err);
  REQUIRE(run.code == 0);
  const auto lines = Lines(run.out);
  REQUIRE(lines.size() == 6);
  CHECK(lines[0] == "");
  CHECK(lines[1].starts_with("Evaluation time (1-image): 0."));
  CHECK(lines[1].ends_with("s"));
  CHECK(lines[2] == "");
  double last = 1, sum = 0;
  for (size_t i = 3; i < 6; ++i) {
    const size_t at = lines[i].find(" (score=");
    REQUIRE(at == 3);
    const double score = std::stod(lines[i].substr(at + 8));
    CHECK(score <= last);
    last = score;
    sum += score;
  }
  CHECK(sum == doctest::Approx(1).epsilon(1e-4));
  CHECK(run.err == "labels: " + (desk.dir / "retrained_labels.txt") + "\n");
}

TEST_CASE("label_image: a mean and deviation that are not the family's, and a layer that is not there, are said") {
  Desk desk;
  const auto run = desk.Label({desk.Photo("a/a_0.jpg"), "--input_mean=0", "--input_std=255"});
  CHECK(run.code == 0);
  CHECK_HAS(run.err, "--input_mean=0 --input_std=255: graphs of this family are trained with 127.5 and 127.5");
  CHECK(desk.Label({desk.Photo("a/a_0.jpg"), "--input_mean=128", "--input_std=128"}).err.find("family") == std::string::npos);
  CheckRefused(desk.Label({desk.Photo("a/a_0.jpg"), "--input_layer=Mul"}), 2, "no input layer 'Mul' (placeholders: input)");
  CheckRefused(desk.Label({desk.Photo("a/a_0.jpg"), "--labels=/dev/null"}), 2, "/dev/null");
}

TEST_CASE("label_image: --threshold calibrates scores and puts unknown before labels of which the best is below it") {
  Desk desk;
  const std::string photo = desk.Photo("a/a_0.jpg");
  CheckRefused(desk.Label({photo, "--threshold=0.5"}), 2, "retrained_graph_calibration.txt: not there");
  const std::string graph = couplet::test::FileContents(desk.dir / "retrained_graph.pb");
  Spill(desk.dir / "retrained_graph_calibration.txt",
        couplet::FormatCalibration({2.0, 10}, couplet::Sha256(std::as_bytes(std::span(graph)))));
  const auto plain = nlohmann::json::parse(desk.Label({photo, "--format=json"}).out)["results"];
  double sum = 0;
  for (const auto& result : plain) sum += std::sqrt(result["score"].get<double>());
  const auto calibrated = nlohmann::json::parse(desk.Label({photo, "--format=json", "--threshold=0", "--top_k=2"}).out)["results"];
  REQUIRE(calibrated.size() == 2);
  for (size_t i = 0; i < 2; ++i) {
    CHECK(calibrated[i]["label"] == plain[i]["label"]);
    CHECK(std::fabs(calibrated[i]["score"].get<double>() - std::sqrt(plain[i]["score"].get<double>()) / sum) <= 1e-6);
  }
  const auto judged = nlohmann::json::parse(desk.Label({photo, "--format=json", "--threshold=1", "--top_k=2"}).out)["results"];
  REQUIRE(judged.size() == 3);
  CHECK(judged[0]["label"] == "unknown");
  CHECK(judged[0]["index"] == -1);
  CHECK(judged[0]["rank"] == 1);
  CHECK(judged[0]["score"] == calibrated[0]["score"]);
  CHECK(judged[1]["label"] == plain[0]["label"]);
  const auto tsv = Lines(desk.Label({photo, "--format=tsv", "--threshold=1"}).out);
  REQUIRE(tsv.size() == 4);
  CHECK(tsv[0].find("\t1\t-1\tunknown\t") != std::string::npos);
  CheckRefused(desk.Label({photo, "--threshold=1.5"}), 2, "1.5 is above 1");
}

TEST_CASE("programs start without the libraries that are opened when used; one that is missed then is named") {
  Desk desk;
  for (const std::string library : {"libcurl.so.4", "libarchive.so.13", "libcrypto.so.3"}) Spill(desk.dir / library, "no library");
  const std::vector<std::string> env = {"LD_LIBRARY_PATH=" + (desk.dir / "")};
  for (const std::string program : {"retrain", "lab", "evaluate"}) {
    const auto run = RunProcess({ProgramPath(program), "--version"}, env);
    CHECK_MESSAGE(run.code == 0, run.err);
  }
  std::vector<std::string> label = {ProgramPath("label_image"), "--graph=" + (desk.dir / "retrained_graph.pb"), desk.Photo("a/a_0.jpg")};
  const auto plain = RunProcess(label, env);
  CHECK_MESSAGE(plain.code == 0, plain.err);
  Spill(desk.dir / "retrained_graph_calibration.txt", couplet::FormatCalibration({2.0, 10}, {}));
  label.push_back("--threshold=0.5");
  CheckRefused(RunProcess(label, env), 3, (desk.dir / "libcrypto.so.3") + ": ");
}

TEST_CASE("label_image: several photos and folders, in the order given, in text, tsv and json") {
  Desk desk;
  const std::vector<std::string> photos = {desk.Photo("b/b_1.jpg"), desk.Photo("a")};
  auto with = [&](const std::string& flag) {
    auto args = photos;
    args.push_back(flag);
    return desk.Label(args);
  };
  const auto text = Lines(with("--top_k=1").out);
  REQUIRE(text.size() == 9);
  CHECK(text[3] == desk.Photo("b/b_1.jpg") + ":");
  CHECK(text[5] == desk.Photo("a/a_0.jpg") + ":");
  CHECK(text[7] == desk.Photo("a/a_1.jpg") + ":");
  const auto tsv = Lines(with("--format=tsv").out);
  REQUIRE(tsv.size() == 9);
  CHECK(tsv[0].starts_with(desk.Photo("b/b_1.jpg") + "\t1\t"));
  CHECK(tsv[2].starts_with(desk.Photo("b/b_1.jpg") + "\t3\t"));
  const auto json = Lines(with("--format=json").out);
  REQUIRE(json.size() == 3);
  const auto first = nlohmann::json::parse(json[0]);
  CHECK(first["path"] == desk.Photo("b/b_1.jpg"));
  REQUIRE(first["results"].size() == 3);
  CHECK(first["results"][0]["rank"] == 1);
  // The three formats tell the same.
  const std::string label = first["results"][0]["label"];
  CHECK(tsv[0].find("\t" + label + "\t") != std::string::npos);
  CHECK(text[4].starts_with(label + " (score="));
}

TEST_CASE("label_image: threads do not change an answer") {
  Desk desk;
  const auto one = desk.Label({"--format=tsv", "--threads=1", desk.Photo("a"), desk.Photo("b")});
  const auto three = desk.Label({"--format=tsv", "--threads=3", desk.Photo("a"), desk.Photo("b")});
  CHECK(one.code == 0);
  CHECK(Lines(one.out).size() == 12);
  CHECK(one.out == three.out);
}

TEST_CASE("label_image: what the command line says wins over what the graph tells") {
  Desk desk;
  const std::string photo = desk.Photo("a/a_0.jpg");
  const auto family = desk.Label({"--format=tsv", photo});
  CHECK(desk.Label({"--format=tsv", "--input_mean=127.5", "--input_std=127.5", photo}).code == 0);
  CHECK(desk.Label({"--format=tsv", "--input_mean=128", "--input_std=128", photo}).out != family.out);
  CHECK(desk.Label({"--format=tsv", "--input_mean=0", "--input_std=255", photo}).out != family.out);
  CHECK(desk.Label({"--format=tsv", "--input_size=128", photo}).out == family.out);
  CHECK(desk.Label({"--format=tsv", "--input_height=128", "--input_width=128", "--input_layer=input",
                    "--output_layer=final_result", photo}).out == family.out);
  CheckRefused(desk.Label({"--input_size=0", photo}), 2, "input_size");
  CheckRefused(desk.Label({"--input_std=0", photo}), 2, "input_std");
}

TEST_CASE("label_image: labels beside the graph are found, and must fit it") {
  Desk desk;
  const std::string photo = desk.Photo("a/a_0.jpg");
  Spill(desk.dir / "two.txt", "ant\nbee\n");
  CheckRefused(desk.Label({"--labels=" + (desk.dir / "two.txt"), photo}), 2, "has 2 labels, but");
  fs::rename(desk.dir / "retrained_labels.txt", desk.dir / "output_labels.txt");
  const auto run = desk.Label({photo});
  CHECK(run.code == 0);
  CHECK(run.err == "labels: " + (desk.dir / "output_labels.txt") + "\n");
  // Labels that are named as the graph go before those of another one in the same folder.
  fs::copy_file(desk.dir / "retrained_graph.pb", desk.dir / "other_graph.pb");
  fs::copy_file(desk.dir / "output_labels.txt", desk.dir / "other_labels.txt");
  fs::copy_file(desk.dir / "two.txt", desk.dir / "retrained_labels.txt");
  CHECK(desk.Label({"--graph=" + (desk.dir / "other_graph.pb"), photo}, false).err == "labels: " + (desk.dir / "other_labels.txt") + "\n");
  fs::remove(desk.dir / "retrained_labels.txt");
  fs::remove(desk.dir / "output_labels.txt");
  CheckRefused(desk.Label({photo}), 2, "give --labels");
}

TEST_CASE("label_image: a MobileNet that was not retrained gives ImageNet's names, installed as well") {
  Desk desk;
  const std::string graph = "weights/couplet_mobilenet_v1_0.25_128.pb", photo = desk.Photo("a/a_0.jpg");
  const auto labels = couplet::ReadLabels("weights/imagenet_labels.txt");
  REQUIRE(labels.ok());
  const auto built = desk.Label({"--graph=" + graph, "--format=tsv", "--top_k=1001", photo}, false);
  REQUIRE_MESSAGE(built.code == 0, built.err);
  CHECK_HAS(built.err, "weights/imagenet_labels.txt\n");
  std::vector<std::string> named;
  for (const std::string& line : Lines(built.out)) {
    const size_t end = line.rfind('\t'), begin = line.rfind('\t', end - 1) + 1;
    named.push_back(line.substr(begin, end - begin));
  }
  auto expected = *labels;
  std::ranges::sort(named);
  std::ranges::sort(expected);
  CHECK(named == expected);
  // As make install lays it out; the working folder has no weights/.
  for (const char* folder : {"bin", "share/couplet"}) fs::create_directories(desk.dir / folder);
  fs::copy_file(ProgramPath("label_image"), desk.dir / "bin/label_image");
  fs::copy_file(graph, desk.dir / "share/couplet/graph.pb");
  const auto run = [&] {
    return RunProcess({desk.dir / "bin/label_image", "--graph=share/couplet/graph.pb", "--format=tsv", "--top_k=1001", photo}, {}, 120,
                      desk.dir.path());
  };
  // Anything else that lies in tf_files/ is not taken for them.
  fs::create_directory(desk.dir / "tf_files");
  Spill(desk.dir / "tf_files/retrained_labels.txt", "ant\nbee\n");
  fs::copy_file("weights/imagenet_labels.txt", desk.dir / "share/couplet/imagenet_labels.txt");
  const auto installed = run();
  CHECK(installed.out == built.out);
  CHECK_HAS(installed.err, "/bin/../share/couplet/imagenet_labels.txt\n");
}

TEST_CASE("label_image: what cannot be done is one line and exit 2, with the nearest name where there is one") {
  Desk desk;
  const std::string photo = desk.Photo("a/a_0.jpg");
  CheckRefused(desk.Label({"--output_layer=final_resul", photo}), 2, "final_result");
  CheckRefused(desk.Label({"--input_layer=inptu", photo}), 2, "input");
  CheckRefused(desk.Label({"--graph=" + photo, photo}, false), 2, "a_0.jpg");
  CheckRefused(desk.Label({"--graph=" + (desk.dir / "none.pb"), photo}, false), 4, "none.pb");
  CheckRefused(desk.Label({desk.dir / "retrained_labels.txt"}), 2, "retrained_labels.txt: expected a JPEG");
  CheckRefused(desk.Label({desk.dir / "missing.jpg"}), 2, "missing.jpg");
  CheckRefused(desk.Label({"--device=cuda", photo}), 3, "--device=cuda: no ");
  CheckRefused(desk.Label({"--device=cpu", "--precision=tf32", photo}), 2, "--precision=tf32: the CPU computes in fp32 or int8");
  CheckRefused(desk.Label({"--device=cuda", "--precision=int8", photo}), 2, "--precision=int8: a GPU computes in fp32, tf32 or fp16");
  CheckRefused(desk.Label({"--top_k=0", photo}), 2, "top_k");
  CheckRefused(desk.Label({"--imgae=" + photo}), 2, "(nearest: --image)");
  fs::create_directory(desk.dir / "empty");
  CheckRefused(desk.Label({desk.dir / "empty"}), 2, "no photos in this folder");
}

TEST_CASE("label_image: a bad photo among good ones is named, the others are answered, exit 2 at the end") {
  Desk desk;
  Spill(desk.Photo("a/a_00.jpg"), "text");
  const auto tsv = desk.Label({"--format=tsv", desk.Photo("a")});
  CHECK(tsv.code == 2);
  CHECK(Lines(tsv.out).size() == 6);
  CHECK(tsv.err.find("a_00.jpg: expected a JPEG, PNG, GIF or BMP image, found text") != std::string::npos);
  CHECK(tsv.err.find("1 of 3 photos could not be labelled") != std::string::npos);
  const auto json = Lines(desk.Label({"--format=json", desk.Photo("a")}).out);
  REQUIRE(json.size() == 3);
  CHECK(nlohmann::json::parse(json[1])["error"].get<std::string>().find("found text") != std::string::npos);
}

TEST_CASE("label_image: a missing photo counts as one that cannot be labelled, alone or among others") {
  Desk desk;
  const auto run = desk.Label({"--format=tsv", desk.dir / "missing.jpg", desk.Photo("a/a_0.jpg")});
  CHECK(run.code == 2);
  CHECK(Lines(run.out).size() == 3);
  CHECK(run.err.find("missing.jpg") != std::string::npos);
  CHECK(desk.Label({"--format=json", desk.dir / "missing.jpg"}).code == 2);
}

TEST_CASE("label_image: --profile prints where the time went and leaves the answers as they are") {
  Desk desk;
  const auto plain = desk.Label({"--format=tsv", desk.Photo("a")});
  const auto run = desk.Label({"--format=tsv", "--profile=" + (desk.dir / "trace.json"), desk.Photo("a")});
  CHECK(run.code == 0);
  CHECK(run.out == plain.out);
  CHECK_HAS(run.err, "\n  decode ");
  CHECK_HAS(run.err, "\n  final_result ");
  std::ifstream trace(desk.dir / "trace.json");
  CHECK(nlohmann::json::parse(trace)["traceEvents"].size() > 50);
}

TEST_CASE("label_image: awkward file names come back escaped in tsv and json") {
  Desk desk;
  const std::string photo = desk.Photo("tab\there & йцук\n.jpg");
  fs::copy_file(desk.Photo("a/a_0.jpg"), photo);
  CHECK(desk.Label({"--format=tsv", "--top_k=1", photo}).out.find("tab\\there & йцук\\n.jpg\t1\t") != std::string::npos);
  CHECK(nlohmann::json::parse(desk.Label({"--format=json", photo}).out)["path"] == photo);
}

// Found by hand: a label of somebody's model and a photo's name reached the terminal as they were.
TEST_CASE("label_image: names cannot command the terminal, in no format") {
  Desk desk;
  const std::string photo = desk.dir / "e\x1b[31m\nx.jpg";
  fs::copy_file(desk.Photo("a/a_0.jpg"), photo);
  Spill(desk.dir / "labels.txt", "a\x1b[31mnt\nbee\ncat\n");
  for (const char* format : {"text", "tsv", "json"}) {
    CAPTURE(format);
    const auto run = desk.Label({"--labels=" + (desk.dir / "labels.txt"), std::string("--format=") + format, photo, photo});
    CHECK(run.code == 0);
    CHECK(run.out.find('\x1b') == std::string::npos);
    CHECK(run.out.find("31m\n") == std::string::npos);
  }
}

TEST_CASE("label_image: a reader that goes away or a full disk ends it with exit 4 and no abort") {
  Desk desk;
  // Enough lines to fill every buffer on the way.
  for (int i = 0; i < 60; ++i) fs::copy_file(desk.Photo("a/a_0.jpg"), desk.Photo("b/copy_" + std::to_string(i) + ".jpg"));
  const std::string program = EmulatorPrefix() + ProgramPath("label_image"), command = program + " --graph=" + (desk.dir / "retrained_graph.pb") + " --format=json ";
  const std::string folder = desk.dir / "photos/b";
  const ProcessResult full = RunProcess({"sh", "-c", command + folder + " > /dev/full"});
  CHECK(full.code == 4);
  CHECK(full.err.find("label_image: error: standard output: cannot write\n") != std::string::npos);
  // 60 photos of over 200 bytes are more than the 4 KiB after which the first write is tried; head reads one line.
  const ProcessResult gone = RunProcess({"bash", "-c", command + folder + " | head -n 1 > /dev/null; exit ${PIPESTATUS[0]}"});
  CHECK((gone.code == 4 || gone.code == 0));  // 0: all fitted into the pipe before head went
  CHECK(gone.err.find("terminate") == std::string::npos);
  CHECK(RunProcess({"sh", "-c", command + "--nope 2> /dev/full"}).code == 2);
  CHECK(RunProcess({"sh", "-c", program + " --help > /dev/full"}).code == 4);
}

TEST_CASE("label_image: --image and photos together are all labelled; a repeated flag's last value counts") {
  Desk desk;
  const auto run = desk.Label({"--format=tsv", "--top_k=3", "--top_k=1", "--image=" + desk.Photo("a/a_0.jpg"), desk.Photo("b/b_0.jpg")});
  INFO(run.err);
  CHECK(run.code == 0);
  const auto lines = Lines(run.out);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].starts_with(desk.Photo("a/a_0.jpg")));
  CHECK(lines[1].starts_with(desk.Photo("b/b_0.jpg")));
}

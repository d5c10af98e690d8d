// SPDX-License-Identifier: Apache-2.0
#include "apps/cli.h"

#include <unistd.h>

#include <algorithm>

#include "apps/console.h"
#include "apps/retrain_options.h"
#include "loaders/files.h"
#include "tests/support/test.h"

using namespace couplet;

namespace {

using Args = std::vector<std::string>;

// What CanonicalArguments makes of `args` for retrain's flags; "error: ..." when it refuses.
Args Canonical(const Args& args) {
  CommandLine flags("retrain", "");
  RetrainOptions options;
  DeclareRetrainFlags(flags, options);
  auto result = flags.Canonical(args);
  return result.ok() ? *result : Args{"error: " + result.status().message()};
}

}  // namespace

TEST_CASE("cli: values stand apart or behind an equals sign, empty and negative ones too") {
  CHECK(Canonical({"--image_dir", "a b"}) == Args{"--image_dir", "a b"});
  CHECK(Canonical({"--image_dir=a=b"}) == Args{"--image_dir", "a=b"});
  CHECK(Canonical({"--image_dir="}) == Args{"--image_dir", ""});
  CHECK(Canonical({"--test_batch_size", "-1"}) == Args{"--test_batch_size", "-1"});
  CHECK(Canonical({"--flip_left_right", "--quiet"}) == Args{"--flip_left_right", "--quiet"});
}

TEST_CASE("cli: dashes are underscores and unique prefixes are enough") {
  CHECK(Canonical({"--how-many-training-steps=5"}) == Args{"--how_many_training_steps", "5"});
  CHECK(Canonical({"--how_many=5"}) == Args{"--how_many_training_steps", "5"});
  CHECK(Canonical({"--arch=inception_v3"}) == Args{"--architecture", "inception_v3"});
  CHECK(Canonical({"--random=5"})[0] ==
        "error: --random is ambiguous: --random_crop, --random_scale, --random_brightness");
}

TEST_CASE("cli: the codelab's typo is taken") {
  CHECK(Canonical({"--summarys_dir=x"}) == Args{"--summaries_dir", "x"});
}

TEST_CASE("cli: a switch that may carry a value") {
  CHECK(Canonical({"--verify_cache"}) == Args{"--verify_cache", "yes"});
  CHECK(Canonical({"--profile", "--strict"}) == Args{"--profile", "couplet_trace.json", "--strict"});
  CHECK(Canonical({"--profile=x.json"}) == Args{"--profile", "x.json"});
  CHECK(Canonical({"--verify_cache=all", "--strict"}) == Args{"--verify_cache", "all", "--strict"});
}

TEST_CASE("cli: what cannot be understood is said in one line") {
  CHECK(Canonical({"--lerning_rate=1"})[0] ==
        "error: unknown flag --lerning_rate (nearest: --learning_rate); --help lists them all");
  CHECK(Canonical({"--xyzzy"})[0] == "error: unknown flag --xyzzy; --help lists them all");
  CHECK(Canonical({"--image_dir"})[0] == "error: --image_dir needs a value");
  CHECK(Canonical({"--image_dir", "--strict"})[0] == "error: --image_dir needs a value");
  CHECK(Canonical({"--strict=1"})[0] == "error: --strict is a switch and takes no value");
}

TEST_CASE("cli: retrain.py's 23 flags are there with their defaults") {
  CommandLine flags("retrain", "");
  RetrainOptions options;
  DeclareRetrainFlags(flags, options);
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"image_dir", ""}, {"output_graph", "/tmp/output_graph.pb"},
      {"intermediate_output_graphs_dir", "/tmp/intermediate_graph/"}, {"intermediate_store_frequency", "0"},
      {"output_labels", "/tmp/output_labels.txt"}, {"summaries_dir", "/tmp/retrain_logs"},
      {"how_many_training_steps", "4000"}, {"learning_rate", "0.01"}, {"testing_percentage", "10"},
      {"validation_percentage", "10"}, {"eval_step_interval", "10"}, {"train_batch_size", "100"},
      {"test_batch_size", "-1"}, {"validation_batch_size", "100"}, {"print_misclassified_test_images", "no"},
      {"model_dir", "/tmp/imagenet"}, {"bottleneck_dir", "/tmp/bottleneck"}, {"final_tensor_name", "final_result"},
      {"flip_left_right", "no"}, {"random_crop", "0"}, {"random_scale", "0"}, {"random_brightness", "0"},
      {"architecture", "inception_v3"}};
  CHECK(expected.size() == 23);
  const std::vector<CommandLine::Setting> settings = flags.Settings();
  for (const auto& [name, value] : expected) {
    CAPTURE(name);
    const auto setting = std::ranges::find(settings, "--" + name, &CommandLine::Setting::name);
    REQUIRE(setting != settings.end());
    CHECK(setting->value == value);
    CHECK(setting->group == "The codelab's");
  }
}

// Found by fuzzing: an archive's entry, a flag and a bottleneck file could each break a message's line or send escape
// sequences to the terminal.
TEST_CASE("cli: a message is one line of text, whatever names it repeats") {
  CHECK(OneLine("a\nb\r\tc") == "a\\nb\\r\\tc");
  CHECK(OneLine("\x1b[31m\x7f") == "\\x1b[31m\\x7f");
  CHECK(OneLine("Gänseblümchen \\ 雛菊") == "Gänseblümchen \\ 雛菊");
  CHECK(OneLine(std::string("nul\0", 4)) == "nul\\x00");
}

// Found by hand: 0100 steps were 64, and a seed of 23 digits was the largest there is.
TEST_CASE("cli: a number is decimal, and one that does not fit is refused in our words") {
  const auto parsed = [](std::string flag, RetrainOptions* options) {
    std::string program = "retrain";
    char* argv[] = {program.data(), flag.data()};
    return ParseRetrainFlags(program, 2, argv, options).message();
  };
  RetrainOptions options;
  CHECK(parsed("--how_many_training_steps=0100", &options) == "");
  CHECK(options.how_many_training_steps == 100);
  CHECK(parsed("--train_batch_size=-1", &options) == "");
  CHECK(options.train_batch_size == -1);
  CHECK(parsed("--seed=18446744073709551615", &options) == "");
  CHECK(options.seed == 18446744073709551615u);
  CHECK(parsed("--seed=18446744073709551616", &options) ==
        "--seed: 18446744073709551616 does not fit; 0 to 18446744073709551615 do; --help lists the flags");
  CHECK(parsed("--threads=99999999999", &options).starts_with("--threads: 99999999999 does not fit; "));
  CHECK(parsed("--train_batch_size=0x10", &options) == "--train_batch_size: '0x10' is not a whole number; --help lists the flags");
  CHECK(parsed("--max_pixels=1e3", &options).starts_with("--max_pixels: '1e3' is not a whole number"));
  CHECK(parsed("--threads=", &options).starts_with("--threads: '' is not a whole number"));
  CHECK(parsed("--input_size=099999999999", &options).starts_with("--input_size: 099999999999 does not fit"));
}

// Found by hand: the later of two outputs with one name took the earlier one's place, and the run ended with 0.
TEST_CASE("cli: two outputs are never one file, however it is spelt") {
  test::TempDir folder;
  const auto message = [&](auto change) {
    RetrainOptions options;
    options.image_dir = "x";
    options.output_graph = folder / "g.pb";
    options.output_labels = folder / "l.txt";
    options.bottleneck_dir = folder / "b";
    change(options);
    return CheckRetrainOptions(options).message();
  };
  CHECK(message([](RetrainOptions&) {}) == "");
  const std::string graph = folder / "g.pb";
  CHECK(message([&](RetrainOptions& o) { o.output_labels = graph; }) ==
        "--output_graph and --output_labels are one file, " + graph + "; give each its own");
  CHECK(message([&](RetrainOptions& o) { o.json = folder / "none/../g.pb"; }).starts_with("--output_graph and --json are one file, "));
  CHECK(message([&](RetrainOptions& o) { o.report = folder / "./l.txt"; }).starts_with("--output_labels and --report are one file, "));
  CHECK(message([&](RetrainOptions& o) { o.output_labels = folder / "g_calibration.txt"; }).find("the calibration beside") != std::string::npos);
  CHECK(message([&](RetrainOptions& o) { o.json = folder / "g.pb.checkpoint"; }).find("the checkpoint beside") != std::string::npos);
  CHECK(message([&](RetrainOptions& o) { o.json = folder / "b/bottlenecks.sqlite"; }).find("the store in --bottleneck_dir") != std::string::npos);
  REQUIRE(symlink(graph.c_str(), std::string(folder / "link").c_str()) == 0);
  REQUIRE(WriteFileAtomically(graph, "old").ok());
  CHECK(message([&](RetrainOptions& o) { o.json = folder / "link"; }).starts_with("--output_graph and --json are one file, "));
  CHECK(message([](RetrainOptions& o) { o.output_graph = o.output_labels = "/dev/null"; }) == "");
  const std::string photo = folder / "photos/a/1.jpg";
  REQUIRE(MakeDirectories(folder / "photos/a").ok());
  REQUIRE(WriteFileAtomically(photo, "a photo").ok());
  CHECK(message([&](RetrainOptions& o) { o.image_dir = folder / "photos/."; o.json = folder / "photos/b/../a/1.jpg"; })
            .starts_with("--json would replace the photo "));
  CHECK(message([&](RetrainOptions& o) { o.image_dir = folder / "photos"; o.json = folder / "photos/a/2.jpg"; }) == "");
  CHECK(message([&](RetrainOptions& o) { o.image_dir = folder / "other"; o.json = photo; }) == "");
  CHECK(message([](RetrainOptions& o) { o.backbone.input_std = 1e-300; }).starts_with("--input_std=1e-300: pixels are divided by it"));
  CHECK(message([](RetrainOptions& o) { o.output_graph = ""; }) == "--output_graph is needed: a file to write");
  CHECK(message([](RetrainOptions& o) { o.output_labels = ""; }) == "--output_labels is needed: a file to write");
}

TEST_CASE("cli: options that contradict each other are refused") {
  const auto message = [](auto change) {
    RetrainOptions options;
    options.image_dir = "x";
    change(options);
    return CheckRetrainOptions(options).message();
  };
  CHECK(message([](RetrainOptions&) {}) == "");
  CHECK(message([](RetrainOptions& o) { o.image_dir = ""; }).find("--image_dir") == 0);
  CHECK(message([](RetrainOptions& o) { o.testing_percentage = 95; }).find("leave nothing to train on") !=
        std::string::npos);
  CHECK(message([](RetrainOptions& o) { o.train_batch_size = 0; }).find("--train_batch_size=0") == 0);
  CHECK(message([](RetrainOptions& o) { o.backbone.input_size = 128; }).find("describe --model_file") !=
        std::string::npos);
  CHECK(message([](RetrainOptions& o) { o.device.precision = "fp16"; }) == "");
  CHECK(message([](RetrainOptions& o) {
          o.device.precision = "fp16";
          o.device.device = "cpu";
        }).find("--precision=fp16") == 0);
  CHECK((message([](RetrainOptions& o) { o.device.precision = "int8"; }) == "") == Int8IsFast());
}

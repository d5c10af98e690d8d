// lab: one command for the whole lab. Every network on every device from cold photos on, every learning rate with every
// seed, few photos and many; lab.json has the figures, lab_report.html the answers.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/cli.h"
#include "apps/console.h"
#include "apps/device.h"
#include "apps/guarded_main.h"
#include "apps/lab_page.h"
#include "apps/lab_run.h"
#include "apps/version.h"
#include "loaders/files.h"
#include "loaders/threads.h"

namespace couplet {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kProgram = "lab";
constexpr uint64_t kMaxLabBytes = uint64_t{256} << 20;

Status CheckOptions(const LabOptions& o) {
  if (o.image_dir.empty()) return BadInput("--image_dir is needed: a folder with one sub-folder of photos a label");
  if (o.testing_percentage <= 0 || o.validation_percentage < 0 || o.testing_percentage + o.validation_percentage >= 100)
    return BadInput("--testing_percentage must be above 0, and together with --validation_percentage below 100");
  return {};
}

// What must be the same for measurements to be taken over by --resume.
Json Setting(const LabOptions& o, const PhotoSet& set) {
  Json json = {{"image_dir", o.image_dir}, {"labels", set.labels}, {"steps", o.steps}, {"learning_rates", o.learning_rates},
               {"seeds", o.seeds}};
  for (size_t split = 0; split < kSplitNames.size(); ++split)
    json["photos"][kSplitNames[split]] = set.Count(static_cast<Split>(split));
  return json;
}

// The lab so far: empty, or what an earlier run left.
Result<Json> Begin(const LabOptions& o, const std::string& path, const PhotoSet& set) {
  Json lab = {{"setting", Setting(o, set)}, {"version", VersionText(kProgram)}, {"left_out", Json::array()}, {"systems", Json::array()}};
  if (!o.resume || !FileExists(path)) return lab;
  std::vector<uint8_t> bytes;
  COUPLET_RETURN_IF_ERROR(ReadFile(path, kMaxLabBytes, &bytes));
  const Json kept = Json::parse(bytes.begin(), bytes.end(), nullptr, false);
  if (!kept.is_object() || !kept.contains("systems") || !kept.contains("setting"))
    return BadInput(path + " is not what the lab writes; move it away, or leave --resume out to begin anew");
  if (kept["setting"] != lab["setting"])
    return BadInput(path + " is of other photos, steps, learning rates or seeds; name another --output_dir, or leave --resume out to begin anew");
  lab["systems"] = kept["systems"];
  return lab;
}

bool IsDone(const Json& lab, const std::string& architecture, const std::string& device, const std::string& sha256) {
  for (const Json& system : lab["systems"])
    if (system["asked_for"] == architecture && system["device"] == device && system["graph_sha256"] == sha256) return true;
  return false;
}

void LeaveOutOfLab(const std::string& what, const std::string& why, Json* lab) {
  LogWarning(fmt::format("left out: {}: {}", what, why));
  (*lab)["left_out"].push_back({{"what", what}, {"why", why}});
}

Status WriteLab(const LabOptions& o, const Json& lab) {
  const std::string text = lab.dump(1, ' ', false, Json::error_handler_t::replace) + "\n", html = LabHtml(lab);
  const std::string json_path = JoinPath(o.output_dir, "lab.json"), html_path = JoinPath(o.output_dir, "lab_report.html");
  return WriteFilesAtomically(std::vector<FileToWrite>{{json_path, text}, {html_path, html}});
}

Result<Backbone> OpenBackbone(const LabOptions& o, const std::string& architecture) {
  BackboneOptions options;
  options.model_dir = o.model_dir;
  options.offline = o.offline;
  options.interrupted = Interrupted;
  (architecture.ends_with(".pb") ? options.model_file : options.architecture) = architecture;
  return Backbone::Open(options, [](const std::string& line, bool transient) {
    if (!transient) LogInfo(line);
  });
}

bool Interrupted(const Status& status) { return status.code() == Code::kInterrupted; }

// One network on every device. An error ends the lab; what a device or network lacks only leaves it out.
Status RunArchitecture(const LabOptions& o, const std::string& architecture, const PhotoSet& set, Json* lab) {
  const auto backbone = OpenBackbone(o, architecture);
  if (!backbone.ok()) {
    if (Interrupted(backbone.status())) return backbone.status();
    LeaveOutOfLab(architecture, backbone.status().message(), lab);
    return {};
  }
  for (const std::string& device : o.devices) {
    if (IsDone(*lab, architecture, device, backbone->graph_sha256())) {
      LogInfo(fmt::format("{} on {}: measured before", architecture, device));
      continue;
    }
    DeviceOptions wanted;
    wanted.device = device;
    const auto backend = OpenDevice(wanted, {});
    if (!backend.ok()) {
      const Json& named = (*lab)["left_out"];  // once, not for each network
      if (std::none_of(named.begin(), named.end(), [&](const Json& one) { return one["what"] == device; }))
        LeaveOutOfLab(device, backend.status().message(), lab);
      continue;
    }
    auto system = RunLabSystem(o, architecture, *backbone, **backend, set);
    const Code code = system.status().code();
    if (device != "cpu" && (code == Code::kDevice || code == Code::kOutOfMemory)) {
      LeaveOutOfLab(fmt::format("{} on {}", architecture, device), system.status().message(), lab);
      continue;
    }
    COUPLET_RETURN_IF_ERROR(system.status());
    (*lab)["systems"].push_back(*std::move(system));
    COUPLET_RETURN_IF_ERROR(WriteLab(o, *lab));
  }
  return {};
}

Status Run(const LabOptions& o) {
  COUPLET_RETURN_IF_ERROR(CheckOptions(o));
  COUPLET_RETURN_IF_ERROR(MakeDirectories(o.output_dir));
  COUPLET_RETURN_IF_ERROR(CheckWritableDirectory(o.output_dir));
  ImageListOptions images;
  images.image_dir = o.image_dir;
  images.testing_percentage = o.testing_percentage;
  images.validation_percentage = o.validation_percentage;
  COUPLET_ASSIGN_OR_RETURN(const ImageLists lists, CreateImageLists(images, ThreadsAskedFor(o.threads)));
  const PhotoSet set = MakePhotoSet(images, lists);
  if (set.Count(Split::kTesting) == 0)
    return BadInput(o.image_dir + ": not one photo falls to testing; add photos or raise --testing_percentage");
  COUPLET_ASSIGN_OR_RETURN(Json lab, Begin(o, JoinPath(o.output_dir, "lab.json"), set));
  Out("{:<28} {:>8} {:>5} {:>10} {:>9} {:>10}\n", "network, device", "rate", "seed", "photos", "accuracy", "training");
  for (const std::string& architecture : o.architectures) {
    const Status status = RunArchitecture(o, architecture, set, &lab);
    // Not the extraction's own words: to run it again would not go on, as it is always timed cold.
    if (Interrupted(status))
      return Status(Code::kInterrupted, "interrupted; --resume keeps the networks and devices that are finished, and begins this one anew");
    COUPLET_RETURN_IF_ERROR(status);
  }
  if (lab["systems"].empty()) return BadInput("nothing could be measured: every network and device was left out, as said above");
  COUPLET_RETURN_IF_ERROR(WriteLab(o, lab));
  Out("Wrote {0}/lab.json and {0}/lab_report.html, which opens in a browser\n", o.output_dir);
  return {};
}

void DeclareFlags(CommandLine& flags, LabOptions& o) {
  flags.Add("--image_dir", &o.image_dir, "folder with one sub-folder of photos a label");
  flags.Add("--architectures", &o.architectures, "networks: names as in retrain, or graphs that end in .pb; with commas between");
  flags.Add("--devices", &o.devices, "cpu, cuda; what is missing is named and left out").OneOf({"cpu", "cuda"});
  flags.Add("--learning_rates", &o.learning_rates, "with commas between").Between(0, 1e38);
  flags.Add("--steps", &o.steps, "training steps").AtLeast(1);
  flags.Add("--seeds", &o.seeds, "trainings a learning rate, with other batches and first weights").Between(1, 1000);
  flags.Add("--output_dir", &o.output_dir, "for bottlenecks, lab.json and lab_report.html");
  flags.Add("--model_dir", &o.model_dir, "where networks lie or are downloaded to");
  flags.Add("--testing_percentage", &o.testing_percentage, "per cent of the photos for the test").Between(0, 100);
  flags.Add("--validation_percentage", &o.validation_percentage, "per cent of the photos for validation").Between(0, 100);
  flags.Add("--threads", &o.threads, "worker threads, 0 = all the process may use").AtLeast(0);
  flags.Add("--resume", &o.resume, "keep what lab.json already has of the same lab");
  flags.Add("--offline", &o.offline, "never download");
}

int Main(int argc, char** argv) {
  InstallSignalHandlers();
  CommandLine flags(kProgram, "Measures what the lab asks: networks, devices, learning rates, few photos and many; one page with the answers.");
  LabOptions options;
  DeclareFlags(flags, options);
  Status status = flags.Parse(argc, argv);
  if (status.ok()) status = Run(options);
  return Finish(kProgram, status);
}

}  // namespace
}  // namespace couplet

int main(int argc, char** argv) {
  return couplet::GuardedMain(couplet::kProgram, couplet::Main, argc, argv);
}

// SPDX-License-Identifier: Apache-2.0
#include "loaders/image_list.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "loaders/files.h"
#include "loaders/hash.h"
#include "loaders/image_extension.h"
#include "loaders/threads.h"

namespace couplet {
namespace {

constexpr uint32_t kMaxImagesPerClass = (1u << 27) - 1;
constexpr size_t kFewImages = 20;

std::string ExtensionOf(const std::string& file) {
  const size_t dot = file.rfind('.');
  return dot == std::string::npos || dot == 0 ? "" : file.substr(dot + 1);
}

constexpr std::string_view kNohash = "_nohash_";
// re.sub(r'_nohash_.*$', '', path): '.' stops at a newline, '$' also matches before one that ends the path.
std::string WithoutNohash(const std::string& path) {
  for (size_t at = path.find(kNohash); at != std::string::npos; at = path.find(kNohash, at + 1)) {
    const size_t newline = path.find('\n', at + kNohash.size());
    if (newline == std::string::npos) return path.substr(0, at);
    if (newline == path.size() - 1) return path.substr(0, at) + "\n";
  }
  return path;
}

// One of the patterns that find photos, tried in turn.
struct Pattern {
  std::string extension;
  bool any_case;
  bool Matches(const std::string& name) const {
    return any_case ? HasExtensionInAnyCase(name, extension) : HasExtension(name, extension);
  }
};

std::vector<Pattern> PatternsOf(const ImageListOptions& options) {
  std::vector<Pattern> patterns;
  for (const std::string& extension : options.extensions) patterns.push_back({extension, false});
  if (!patterns.empty()) return patterns;
  for (const char* extension : kJpegExtensions) patterns.push_back({extension, false});
  for (const char* extension : kOtherExtensions) patterns.push_back({extension, true});
  return patterns;
}

// The class's photos in the original's order: one list an extension, each sorted. (gfile.Glob gives them as
// the file system does; sorted, a run repeats itself on another disk.)
std::vector<std::string> ListPhotos(const std::vector<std::string>& names, const std::vector<Pattern>& patterns) {
  std::vector<std::string> photos;
  for (const Pattern& pattern : patterns)
    std::copy_if(names.begin(), names.end(), std::back_inserter(photos), [&](const std::string& name) { return pattern.Matches(name); });
  return photos;
}

// Files of the folder that are no photos, by extension; sub-folders do not count.
std::map<std::string, int> CountIgnored(const std::string& folder, const std::vector<std::string>& names,
                                        const std::vector<Pattern>& patterns) {
  std::map<std::string, int> ignored;
  for (const std::string& name : names) {
    const bool photo = std::any_of(patterns.begin(), patterns.end(), [&](const Pattern& pattern) { return pattern.Matches(name); });
    if (!photo && !IsDirectory(JoinPath(folder, name))) ++ignored[ExtensionOf(name)];
  }
  return ignored;
}

// A folder that cannot be looked at is no reason to leave a class out without a word. What is not there, or a loop of links, is no folder.
Result<bool> IsFolder(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0) return S_ISDIR(info.st_mode);
  if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return false;
  return IoError(fmt::format("cannot look at {}: {}", path, std::generic_category().message(errno)));
}

// "3 heic, 1 webp", for messages.
std::string DescribeIgnored(const std::map<std::string, int>& ignored) {
  std::vector<std::string> parts;
  parts.reserve(ignored.size());
  for (const auto& [extension, count] : ignored)
    parts.push_back(fmt::format("{} {}", count, extension.empty() ? "without an extension" : extension));
  return fmt::format("{}", fmt::join(parts, ", "));
}

// Where the photos are, when no sub-folder has any: said in the words of somebody who has to move them.
std::string WhyNoClasses(const std::string& dir, const std::vector<Pattern>& patterns, const std::vector<std::string>& names,
                         const std::map<std::string, int>& ignored) {
  if (!ignored.empty())
    return fmt::format("; its folders hold {}: convert such photos to JPEG or PNG", DescribeIgnored(ignored));
  if (!ListPhotos(names, patterns).empty())
    return "; the photos lie in it directly: put them into one folder a label, such as " + JoinPath(dir, "roses");
  // Other tools keep the splits apart (train, valid, test): all that hold folders of photos are named, the one to learn from first.
  std::vector<std::string> deeper;
  for (const std::string& name : names) {
    const std::string folder = JoinPath(dir, name);
    const auto inner = IsDirectory(folder) ? ListDirectory(folder) : Result<std::vector<std::string>>(Status());
    if (!inner.ok()) continue;
    for (const std::string& label : *inner) {
      const auto files = ListDirectory(JoinPath(folder, label));
      if (!files.ok() || ListPhotos(*files, patterns).empty()) continue;
      deeper.insert(name.starts_with("train") ? deeper.begin() : deeper.end(), name);
      break;
    }
  }
  if (!deeper.empty())
    return fmt::format("; there are photos one folder deeper: give --image_dir={} ({}the split into training, validation and "
                       "testing is made by retrain)", JoinPath(dir, deeper.front()),
                       deeper.size() == 1 ? "" : fmt::format("after moving the photos of {} into its folders: ",
                                                             fmt::join(deeper.begin() + 1, deeper.end(), ", ")));
  return "; it takes one folder a label, with jpg, png, bmp or gif files in each";
}

Result<std::string> LabelOf(const std::string& folder, ImageListOptions::LabelNames mode) {
  if (mode == ImageListOptions::LabelNames::kFolder) {
    if (folder.find('\n') != std::string::npos)
      return BadInput(
          fmt::format("folder '{}': a label cannot hold a line break; rename the folder", folder));
    return folder;
  }
  std::string label = CleanLabel(folder);
  if (mode == ImageListOptions::LabelNames::kStrict && label.find_first_not_of(' ') == std::string::npos)
    return BadInput(
        fmt::format("folder '{}' gives an empty label, as labels keep a-z and 0-9 only; rename it or "
                    "pass --label_names=folder",
                    folder));
  return label;
}

// Adds the class, or as the original does replaces an earlier one of the same label in its place.
Status AddClass(LabelledImages images, ImageListOptions::LabelNames mode, ImageLists* lists) {
  const auto same = std::find_if(lists->classes.begin(), lists->classes.end(),
                                 [&](const LabelledImages& other) { return other.label == images.label; });
  if (same == lists->classes.end()) {
    lists->classes.push_back(std::move(images));
    return {};
  }
  if (mode != ImageListOptions::LabelNames::kTensorFlow)
    return BadInput(
        fmt::format("folders '{}' and '{}' both give the label '{}'; rename one or pass "
                    "--label_names=folder",
                    same->folder, images.folder, images.label));
  *same = std::move(images);
  return {};
}

// What one sub-folder holds.
struct Listing {
  std::vector<std::string> photos;  // as ListPhotos orders them
  std::map<std::string, int> ignored;
};

Result<Listing> ReadFolder(const std::string& path, const std::vector<Pattern>& patterns) {
  COUPLET_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(path));
  return Listing{ListPhotos(names, patterns), CountIgnored(path, names, patterns)};
}

// The body of create_image_lists' loop; log lines in its words.
Status AddFolder(const std::string& folder, Result<Listing> listing, const ImageListOptions& options, ImageLists* lists) {
  lists->log.push_back(fmt::format("Looking for images in '{}'", folder));
  COUPLET_RETURN_IF_ERROR(listing.status());
  for (const auto& [extension, count] : listing->ignored) lists->ignored[extension] += count;
  const size_t photos = listing->photos.size();
  if (photos == 0) {
    lists->log.push_back("WARNING:No files found");
    if (!listing->ignored.empty())
      lists->advice.push_back(fmt::format("'{}' is no label: its files ({}) are not among the photos' extensions; convert "
                                          "them to JPEG or PNG", folder, DescribeIgnored(listing->ignored)));
    return {};
  }
  if (photos < kFewImages) {
    lists->log.push_back("WARNING:WARNING: Folder has less than 20 images, which may cause issues.");
    lists->advice.push_back(fmt::format("'{}' has {} photos: 100 and more are advised, and under 20 some split may lack it",
                                        folder, photos));
  } else if (photos > kMaxImagesPerClass) {
    lists->log.push_back(
        fmt::format("WARNING:WARNING: Folder {} has more than {} images. Some images will never be "
                    "selected.",
                    folder, kMaxImagesPerClass));
  }
  LabelledImages images;
  COUPLET_ASSIGN_OR_RETURN(images.label, LabelOf(folder, options.label_names));
  images.folder = folder;
  const std::string folder_path = JoinPath(options.image_dir, folder);
  for (std::string& photo : listing->photos) {
    const Split split = ChooseSplit(JoinPath(folder_path, photo), options.testing_percentage, options.validation_percentage);
    images.files[static_cast<size_t>(split)].push_back(std::move(photo));
  }
  return AddClass(std::move(images), options.label_names, lists);
}

Status CheckSplits(const ImageListOptions& options, ImageLists* lists) {
  const std::pair<Split, double> wanted[] = {{Split::kValidation, options.validation_percentage},
                                             {Split::kTesting, options.testing_percentage}};
  for (const LabelledImages& images : lists->classes) {
    if (options.training && images.files[static_cast<size_t>(Split::kTraining)].empty())
      return BadInput(
          fmt::format("no photo of '{}' falls into the training split; add photos or lower "
                      "--testing_percentage and --validation_percentage",
                      images.folder));
    for (const auto& [split, percentage] : wanted) {
      if (percentage <= 0 || !images.files[static_cast<size_t>(split)].empty()) continue;
      lists->log.push_back(
          fmt::format("WARNING:No photo of '{}' falls into the {} split; going on with what there is.",
                      images.folder, kSplitNames[static_cast<size_t>(split)]));
    }
  }
  return {};
}

}  // namespace

double SplitPercentage(const std::string& path) {
  const auto digest_of = [](std::string_view text) { return Sha1(std::as_bytes(std::span(text))); };
  const Sha1Digest digest = path.find(kNohash) == std::string::npos ? digest_of(path) : digest_of(WithoutNohash(path));
  // The digest as one big number, modulo 2^27.
  const uint32_t low = static_cast<uint32_t>(digest[16]) << 24 | static_cast<uint32_t>(digest[17]) << 16 |
                       static_cast<uint32_t>(digest[18]) << 8 | digest[19];
  return (low & kMaxImagesPerClass) * (100.0 / kMaxImagesPerClass);
}

Split ChooseSplit(const std::string& path, double testing_percentage, double validation_percentage) {
  const double percentage = SplitPercentage(path);
  if (percentage < validation_percentage) return Split::kValidation;
  return percentage < testing_percentage + validation_percentage ? Split::kTesting : Split::kTraining;
}

std::string CleanLabel(const std::string& folder) {
  // Two letters outside ASCII have a lower case inside it, in Python as in Unicode: the Kelvin sign, and the
  // Turkish capital I, which becomes an i with a dot above (so a blank follows).
  constexpr std::string_view kKelvin = "\u212a", kDottedI = "\u0130";
  std::string label;
  const auto blank = [&] {
    if (label.empty() || label.back() != ' ') label += ' ';
  };
  for (size_t i = 0; i < folder.size(); ++i) {
    const std::string_view rest = std::string_view(folder).substr(i);
    const char c = folder[i];
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      label += c;
    } else if (c >= 'A' && c <= 'Z') {
      label += static_cast<char>(c - 'A' + 'a');
    } else if (rest.starts_with(kKelvin)) {
      label += 'k';
      i += kKelvin.size() - 1;
    } else if (rest.starts_with(kDottedI)) {
      label += 'i';
      blank();
      i += kDottedI.size() - 1;
    } else {
      blank();
    }
  }
  return label;
}

Result<ImageLists> CreateImageLists(const ImageListOptions& options, int threads) {
  if (!IsDirectory(options.image_dir))
    return BadInput(fmt::format("Image directory '{}' not found.", options.image_dir));
  COUPLET_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(options.image_dir));
  const std::vector<Pattern> patterns = PatternsOf(options);
  // What is no folder stays empty. Read by several threads, taken in their order by this one, which also makes the digests: what
  // OpenSSL keeps at the end depends on which thread asked it first, and tests that look for lost memory would see that change.
  std::vector<std::optional<Result<Listing>>> listings(names.size());
  ForEachIndex(names.size(), threads, [&](size_t i) {
    const std::string path = JoinPath(options.image_dir, names[i]);
    const Result<bool> folder = IsFolder(path);
    if (!folder.ok()) listings[i] = folder.status();
    else if (*folder) listings[i] = ReadFolder(path, patterns);
  });
  ImageLists lists;
  for (size_t i = 0; i < names.size(); ++i)
    if (listings[i].has_value()) COUPLET_RETURN_IF_ERROR(AddFolder(names[i], *std::move(listings[i]), options, &lists));
  if (lists.classes.empty())
    return BadInput(fmt::format("No valid folders of images found at {}{}", options.image_dir,
                                WhyNoClasses(options.image_dir, patterns, names, lists.ignored)));
  if (lists.classes.size() == 1)
    return BadInput(
        fmt::format("Only one valid folder of images found at {} - multiple classes are needed for "
                    "classification.",
                    options.image_dir));
  COUPLET_RETURN_IF_ERROR(CheckSplits(options, &lists));
  return lists;
}

std::string ImagePath(const ImageListOptions& options, const LabelledImages& images,
                      const std::string& file) {
  return JoinPath(JoinPath(options.image_dir, images.folder), file);
}

}  // namespace couplet

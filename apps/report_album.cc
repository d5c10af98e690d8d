// SPDX-License-Identifier: Apache-2.0
#include "apps/report_album.h"

#include <fmt/format.h>

#include "apps/html.h"

namespace couplet {
namespace {

// Of base64, so that a page stays below 3 MB whatever the number of photos.
constexpr size_t kAlbumBytes = 2'300'000;

}  // namespace

PhotoAlbum::PhotoAlbum(const PhotoSet& set, const RetrainReport& report, std::string_view image_dir)
    : set_(set), report_(report), image_dir_(image_dir),
      reading_(report.store == nullptr ? nullptr : report.store->ReadTogether()), bytes_left_(kAlbumBytes) {}

std::string PhotoAlbum::Thumbnail(uint32_t row) {
  const Sha256Digest& hash = report_.photo_sha256[row];
  if (report_.store == nullptr || hash == Sha256Digest{}) return "";
  const auto jpeg = report_.store->Thumbnail(hash);
  const size_t bytes = jpeg.has_value() ? (jpeg->size() + 2) / 3 * 4 : 0;
  if (bytes == 0 || bytes > bytes_left_) return "";
  bytes_left_ -= bytes;
  return Base64(*jpeg);
}

std::string PhotoAlbum::Name(uint32_t row) const {
  std::string_view path = set_.photos[row].path;
  if (path.starts_with(image_dir_)) path.remove_prefix(image_dir_.size());
  while (path.starts_with('/')) path.remove_prefix(1);
  return std::string(path);
}

std::string PhotoAlbum::Image(uint32_t row) {
  const std::string name = EscapeHtml(Name(row)), picture = Thumbnail(row);
  if (picture.empty()) return "<span class=\"soft\">no picture kept</span>";
  return fmt::format("<img src=\"data:image/jpeg;base64,{}\" alt=\"{}\">", picture, name);
}

std::string PhotoAlbum::Figure(uint32_t row, std::string_view caption) {
  return fmt::format("<figure class=\"photo\"><div class=\"frame\">{}</div><figcaption>{}<span class=\"file\">{}</span></figcaption></figure>",
                     Image(row), caption, EscapeHtml(Name(row)));
}

std::string PhotoAlbum::Pair(uint32_t row, uint32_t other, std::string_view caption) {
  return fmt::format("<figure class=\"photo\"><div class=\"frame\">{}{}</div><figcaption>{}<span class=\"file\">{}</span>"
                     "<span class=\"file\">{}</span></figcaption></figure>",
                     Image(row), Image(other), caption, EscapeHtml(Name(row)), EscapeHtml(Name(other)));
}

}  // namespace couplet

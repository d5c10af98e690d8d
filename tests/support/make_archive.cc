// SPDX-License-Identifier: Apache-2.0
#include "tests/support/make_archive.h"

#include <archive.h>
#include <archive_entry.h>

#include <cstdlib>

namespace couplet::test {

void MakeArchive(const std::string& path, const std::vector<ArchiveEntry>& entries) {
  archive* writer = archive_write_new();
  archive_write_add_filter_gzip(writer);
  archive_write_set_format_ustar(writer);
  if (archive_write_open_filename(writer, path.c_str()) != ARCHIVE_OK) std::abort();
  for (const auto& entry : entries) {
    archive_entry* header = archive_entry_new();
    archive_entry_set_pathname(header, entry.name.c_str());
    archive_entry_set_perm(header, 0644);
    archive_entry_set_filetype(header, AE_IFREG);
    switch (entry.kind) {
      case ArchiveEntry::Kind::kFile:
        archive_entry_set_size(header, static_cast<la_int64_t>(entry.contents.size()));
        break;
      case ArchiveEntry::Kind::kFolder:
        archive_entry_set_filetype(header, AE_IFDIR);
        break;
      case ArchiveEntry::Kind::kSymlink:
        archive_entry_set_filetype(header, AE_IFLNK);
        archive_entry_set_symlink(header, entry.contents.c_str());
        break;
      case ArchiveEntry::Kind::kHardlink:
        archive_entry_set_hardlink(header, entry.contents.c_str());
        break;
    }
    if (archive_write_header(writer, header) != ARCHIVE_OK) std::abort();
    if (entry.kind == ArchiveEntry::Kind::kFile &&
        archive_write_data(writer, entry.contents.data(), entry.contents.size()) !=
            static_cast<la_ssize_t>(entry.contents.size()))
      std::abort();
    archive_entry_free(header);
  }
  if (archive_write_close(writer) != ARCHIVE_OK) std::abort();
  archive_write_free(writer);
}

}  // namespace couplet::test

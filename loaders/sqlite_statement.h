// A prepared statement of SQLite, freed with its owner. For the bottleneck store's own files.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <span>
#include <string_view>

namespace couplet {

// One prepared statement. Bound memory must live until the next Reset. A value that could not be bound is the next Step's
// error: the statement must not run with what was there before.
class Statement {
 public:
  ~Statement() { sqlite3_finalize(handle_); }
  Statement() = default;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  int Prepare(sqlite3* db, const char* sql) {
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle_, nullptr);
  }
  Statement& Bind(int index, int64_t value) {
    Note(sqlite3_bind_int64(handle_, index, value));
    return *this;
  }
  Statement& BindNull(int index) {
    Note(sqlite3_bind_null(handle_, index));
    return *this;
  }
  // Never null: an empty value is an empty blob.
  Statement& Bind(int index, std::span<const std::byte> value) {
    Note(sqlite3_bind_blob64(handle_, index, value.empty() ? "" : static_cast<const void*>(value.data()),
                             value.size(), SQLITE_STATIC));
    return *this;
  }
  Statement& Bind(int index, std::span<const uint8_t> value) { return Bind(index, std::as_bytes(value)); }
  Statement& Bind(int index, std::string_view value) { return Bind(index, std::as_bytes(std::span(value))); }
  int Step() { return bound_ == SQLITE_OK ? sqlite3_step(handle_) : bound_; }
  void Reset() {
    sqlite3_reset(handle_);
    bound_ = SQLITE_OK;
  }
  // Runs a statement without rows: SQLITE_OK or the error.
  int Run() {
    const int code = Step();
    Reset();
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
  }
  int64_t Int(int column) const { return sqlite3_column_int64(handle_, column); }
  // Valid until the next Step or Reset.
  std::span<const std::byte> Blob(int column) const {
    const void* data = sqlite3_column_blob(handle_, column);
    const int size = sqlite3_column_bytes(handle_, column);
    return {static_cast<const std::byte*>(data), data == nullptr ? 0 : static_cast<size_t>(size)};
  }

 private:
  void Note(int code) {
    if (bound_ == SQLITE_OK) bound_ = code;
  }

  sqlite3_stmt* handle_ = nullptr;
  int bound_ = SQLITE_OK;
};

}  // namespace couplet

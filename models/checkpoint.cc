// SPDX-License-Identifier: Apache-2.0
#include "models/checkpoint.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "loaders/files.h"
#include "loaders/hash.h"

namespace couplet {
namespace {

// First line; the conditions follow, a line each, then a blank one, then numbers as they lie in memory, then SHA-256.
constexpr std::string_view kFirstLine = "couplet checkpoint 1\n";
constexpr uint64_t kMaxBytes = uint64_t{1} << 30;

Sha256Digest Sum(std::string_view text) { return Sha256(std::as_bytes(std::span(text))); }

template <class T>
void Append(const T& value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof value);
}
void Append(const std::vector<float>& values, std::string* out) {
  out->append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}
// Field by field: padding has no defined bytes.
void Append(const EvalPoint& point, std::string* out) {
  Append(point.step, out);
  Append(point.train_accuracy, out);
  Append(point.cross_entropy, out);
  Append(point.validation_n, out);
  Append(point.validation_accuracy, out);
  Append(point.validation_cross_entropy, out);
}

// Takes values off the front of `text`; false once there are too few bytes.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  bool Take(void* value, size_t bytes) {
    if (bytes > text_.size()) return false;
    if (bytes != 0) std::memcpy(value, text_.data(), bytes);
    text_.remove_prefix(bytes);
    return true;
  }
  template <class T>
  bool Take(T* value) {
    return Take(value, sizeof *value);
  }
  bool Take(EvalPoint* point) {
    return Take(&point->step) && Take(&point->train_accuracy) && Take(&point->cross_entropy) &&
           Take(&point->validation_n) && Take(&point->validation_accuracy) && Take(&point->validation_cross_entropy);
  }
  std::optional<std::string_view> Line() {
    const size_t end = text_.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return line;
  }
  size_t left() const { return text_.size(); }

 private:
  std::string_view text_;
};

Status Damaged(const std::string& path) {
  return BadInput(fmt::format("the checkpoint {} is damaged; delete it, and training starts anew", path));
}

bool ReadNumbers(Reader reader, const HeadShape& shape, TrainState* state) {
  int32_t features = 0, classes = 0;
  uint64_t points = 0;
  if (!reader.Take(&state->steps) || !reader.Take(&features) || !reader.Take(&classes) || !reader.Take(&points)) return false;
  if (state->steps < 0 || features != shape.features || classes != shape.classes || points > reader.left()) return false;
  HeadParams& params = state->params;
  params.weights.resize(static_cast<size_t>(features) * static_cast<size_t>(classes));
  params.biases.resize(static_cast<size_t>(classes));
  if (!reader.Take(params.weights.data(), params.weights.size() * sizeof(float))) return false;
  if (!reader.Take(params.biases.data(), params.biases.size() * sizeof(float))) return false;
  for (uint64_t i = 0; i < points; ++i)
    if (!reader.Take(&state->history.emplace_back())) return false;
  return reader.left() == 0;
}

}  // namespace

Status WriteCheckpoint(const std::string& path, const TrainState& state, const TrainConditions& conditions) {
  std::string text(kFirstLine);
  for (const auto& [name, value] : conditions) text += fmt::format("{}={}\n", name, value);
  text += '\n';
  Append(state.steps, &text);
  Append(static_cast<int32_t>(state.params.weights.size() / state.params.biases.size()), &text);
  Append(static_cast<int32_t>(state.params.biases.size()), &text);
  Append(static_cast<uint64_t>(state.history.size()), &text);
  Append(state.params.weights, &text);
  Append(state.params.biases, &text);
  for (const EvalPoint& point : state.history) Append(point, &text);
  Append(Sum(text), &text);
  return WriteFileAtomically(path, text);
}

Result<TrainState> ReadCheckpoint(const std::string& path, const HeadShape& shape,
                                  const TrainConditions& conditions) {
  std::vector<uint8_t> bytes;
  COUPLET_RETURN_IF_ERROR(ReadFile(path, kMaxBytes, &bytes));
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kFirstLine)) return Damaged(path);
  Sha256Digest sum;
  if (text.size() < kFirstLine.size() + sum.size()) return Damaged(path);
  std::memcpy(sum.data(), text.data() + text.size() - sum.size(), sum.size());
  text.remove_suffix(sum.size());
  if (sum != Sum(text)) return Damaged(path);
  Reader reader(text.substr(kFirstLine.size()));
  for (const auto& [name, value] : conditions) {
    const auto line = reader.Line();
    if (!line || !line->starts_with(name + "=")) return Damaged(path);
    if (const std::string_view was = line->substr(name.size() + 1); was != value)
      return BadInput(fmt::format("the checkpoint {} is of another training: {} was {}, now it is {}; give what was given "
                                  "then, or leave out --resume to start anew",
                                  path, name, was, value));
  }
  if (reader.Line() != "") return Damaged(path);
  TrainState state;
  if (!ReadNumbers(reader, shape, &state)) return Damaged(path);
  return state;
}

}  // namespace couplet

// SPDX-License-Identifier: Apache-2.0
#include "loaders/device_sampler.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "loaders/machine_files.h"
#include "loaders/nvml.h"
#include "loaders/tegrastats.h"

extern char** environ;

namespace couplet {

class DeviceSampler::Source {
 public:
  virtual ~Source() = default;
  // Fills what the source tells. Never waits for long.
  virtual void Read(DeviceSample* sample) = 0;
};

class DeviceSampler::NvmlSource final : public Source {
 public:
  explicit NvmlSource(std::unique_ptr<Nvml> nvml) : nvml_(std::move(nvml)) {}
  void Read(DeviceSample* sample) override { nvml_->Read(sample); }

 private:
  std::unique_ptr<Nvml> nvml_;
};

class DeviceSampler::SysfsSource final : public Source {
 public:
  explicit SysfsSource(TegraSysfs sysfs) : sysfs_(std::move(sysfs)) {}
  void Read(DeviceSample* sample) override { sysfs_.Read(sample); }

 private:
  TegraSysfs sysfs_;
};

// The program runs as long as the source lives; each Read takes the last whole line it has written.
class DeviceSampler::TegrastatsSource final : public Source {
 public:
  static std::unique_ptr<TegrastatsSource> Start(const std::string& program, std::chrono::milliseconds interval) {
    std::array<int, 2> ends;
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return nullptr;
    auto source = std::unique_ptr<TegrastatsSource>(new TegrastatsSource(ends[0]));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    std::array<std::string, 3> words = {program, "--interval", std::to_string(interval.count())};
    std::array<char*, 4> arguments = {words[0].data(), words[1].data(), words[2].data(), nullptr};
    const int error = posix_spawnp(&source->child_, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error != 0) source->child_ = -1;
    return error == 0 ? std::move(source) : nullptr;
  }
  ~TegrastatsSource() override {
    close(pipe_);
    if (child_ <= 0) return;
    kill(child_, SIGKILL);  // it keeps nothing that could be left half done
    while (waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  void Read(DeviceSample* sample) override {
    std::array<char, 4096> chunk;
    for (ssize_t got; (got = read(pipe_, chunk.data(), chunk.size())) > 0;)
      text_.append(chunk.data(), static_cast<size_t>(got));
    const size_t end = text_.rfind('\n');
    if (end != std::string::npos) {
      const size_t begin = end == 0 ? std::string::npos : text_.rfind('\n', end - 1);
      const size_t first = begin == std::string::npos ? 0 : begin + 1;
      last_ = ParseTegrastats(std::string_view(text_).substr(first, end - first));
      text_.erase(0, end + 1);
    } else if (text_.size() > kLongestLine) {
      text_.clear();
    }
    if (!last_) return;
    // /proc tells of processors and memory at the very moment.
    sample->gpu_percent = last_->gpu_percent;
    sample->watts = last_->watts;
    sample->celsius = last_->celsius;
  }

 private:
  static constexpr size_t kLongestLine = 1 << 16;
  explicit TegrastatsSource(int pipe) : pipe_(pipe) {}

  int pipe_;
  pid_t child_ = -1;
  std::string text_;  // what no line end has come for yet
  std::optional<DeviceSample> last_;
};

void DeviceSampler::Sum::Add(std::optional<double> value) {
  if (!value) return;
  most = count == 0 ? *value : std::max(most, *value);
  sum += *value;
  ++count;
}

DeviceSampler::Summary DeviceSampler::Sum::summary() const {
  if (count == 0) return {};
  return {sum / static_cast<double>(count), most};
}

DeviceSampler::DeviceSampler(const DeviceSamplerOptions& options) : interval_(options.interval), root_(options.root) {
  FindSource(options);
  try {
    thread_ = std::thread([this] { Watch(); });
  } catch (const std::system_error&) {
    source_.clear();  // nobody watches
  }
}

DeviceSampler::~DeviceSampler() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    stop_changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void DeviceSampler::FindSource(const DeviceSamplerOptions& options) {
  // On some Jetsons there is an NVML that does not tell the load.
  if (auto nvml = Nvml::Open(options.nvml); nvml != nullptr) {
    DeviceSample sample;
    nvml->Read(&sample);
    if (sample.gpu_percent) {
      source_ = "NVML";
      gpu_ = std::make_unique<NvmlSource>(std::move(nvml));
      return;
    }
  }
  if (auto tegrastats = TegrastatsSource::Start(options.tegrastats, interval_); tegrastats != nullptr) {
    source_ = "tegrastats";
    gpu_ = std::move(tegrastats);
  } else if (auto sysfs = TegraSysfs::Find(options.root)) {
    source_ = "sysfs";
    gpu_ = std::make_unique<SysfsSource>(std::move(*sysfs));
  }
}

double DeviceSampler::Now() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
}

void DeviceSampler::Watch() {
  ProcLoad proc(root_);
  std::unique_lock lock(mutex_);
  while (!stop_) {
    lock.unlock();
    DeviceSample sample;
    if (gpu_ != nullptr) gpu_->Read(&sample);
    proc.Read(&sample);
    sample.seconds = Now();
    lock.lock();
    Keep(sample);
    stop_changed_.wait_for(lock, interval_, [this] { return stop_; });
  }
}

// With mutex_ held.
void DeviceSampler::Keep(const DeviceSample& sample) {
  if (sample.watts) {
    // The mean of both ends, for the time between them.
    if (latest_.watts) joules_ += (*sample.watts + *latest_.watts) / 2 * (sample.seconds - latest_.seconds);
    power_known_ = true;
  }
  gpu_percent_.Add(sample.gpu_percent);
  watts_.Add(sample.watts);
  latest_ = sample;
  if (seen_++ % keep_every_ != 0) return;
  if (samples_.size() == kMostSamples) {
    for (size_t i = 0; i < kMostSamples / 2; ++i) samples_[i] = samples_[2 * i];
    samples_.resize(kMostSamples / 2);
    keep_every_ *= 2;
  }
  samples_.push_back(sample);
}

DeviceSample DeviceSampler::latest() const {
  const std::lock_guard lock(mutex_);
  return latest_;
}

std::vector<DeviceSample> DeviceSampler::samples() const {
  const std::lock_guard lock(mutex_);
  return samples_;
}

std::optional<double> DeviceSampler::joules() const {
  const std::lock_guard lock(mutex_);
  if (!power_known_) return std::nullopt;
  // Since the last sample the power is taken to be as it was.
  return joules_ + latest_.watts.value_or(0) * (Now() - latest_.seconds);
}

DeviceSampler::Summary DeviceSampler::gpu_percent() const {
  const std::lock_guard lock(mutex_);
  return gpu_percent_.summary();
}

DeviceSampler::Summary DeviceSampler::watts() const {
  const std::lock_guard lock(mutex_);
  return watts_.summary();
}

}  // namespace couplet

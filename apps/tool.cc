// SPDX-License-Identifier: Apache-2.0
#include "apps/tool.h"

#include <CLI/CLI.hpp>

#include "apps/cli.h"
#include "apps/guarded_main.h"

namespace couplet {

Tool::Tool(const std::string& name, const std::string& about)
    : app_(std::make_unique<CLI::App>(about, name)), name_(name) {
  app_->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);  // as argparse
}
Tool::~Tool() = default;

void Tool::Argument(const char* name, std::string* value, const char* help) {
  CLI::Option* option = app_->add_option(name, *value, help)->capture_default_str();
  if (value->empty()) option->required();
}
void Tool::OptionalArgument(const char* name, std::optional<std::string>* value, const char* help) {
  app_->add_option(name, *value, help);
}
void Tool::Flag(const char* name, std::string* value, const char* help) {
  app_->add_option(name, *value, help)->capture_default_str();
}
void Tool::Flag(const char* name, std::optional<std::string>* value, const char* help) {
  app_->add_option(name, *value, help);
}
void Tool::Flag(const char* name, int* value, int low, int high, const char* help) {
  app_->add_option(name, *value, help)->capture_default_str()->check(Between(low, high));
}
void Tool::Flag(const char* name, double* value, double low, double high, const char* help) {
  app_->add_option(name, *value, help)->capture_default_str()->check(Between(low, high));
}
void Tool::Flag(const char* name, std::optional<int>* value, int low, int high, const char* help) {
  app_->add_option(name, *value, help)->check(Between(low, high));
}
void Tool::Flag(const char* name, std::optional<double>* value, double low, double high, const char* help) {
  app_->add_option(name, *value, help)->check(Between(low, high));
}
void Tool::Switch(const char* name, bool* value, const char* help) { app_->add_flag(name, *value, help); }

int Tool::Run(int argc, char** argv, const std::function<Status()>& run) {
  return GuardedMain(name_.c_str(), [&] {
    InstallSignalHandlers();
    Status status = ParseCommandLine(*app_, argc, argv);
    if (status.ok()) status = run();
    if (CaughtSignal() != 0) return 128 + CaughtSignal();
    return FinishOutput(name_, status.ok() ? 0 : Fail(name_, status));
  });
}

std::vector<std::string> SplitNames(const std::string& text) {
  return text.empty() ? std::vector<std::string>() : CLI::detail::split(text, ',');
}

}  // namespace couplet

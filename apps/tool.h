// What a small program needs of a command line, without CLI11 in its sight.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/console.h"
#include "runtime/status.h"

namespace CLI {
class App;
}

namespace couplet {

// Flags are read as everywhere (apps/cli.h); what a value holds before is its default. All outlive Run().
class Tool {
 public:
  Tool(const std::string& name, const std::string& about);
  ~Tool();

  void Argument(const char* name, std::string* value, const char* help);  // must be given, unless *value is something
  void OptionalArgument(const char* name, std::optional<std::string>* value, const char* help);
  void Flag(const char* name, std::string* value, const char* help);
  void Flag(const char* name, std::optional<std::string>* value, const char* help);
  void Flag(const char* name, int* value, int low, int high, const char* help);
  void Flag(const char* name, double* value, double low, double high, const char* help);
  void Flag(const char* name, std::optional<int>* value, int low, int high, const char* help);
  void Flag(const char* name, std::optional<double>* value, double low, double high, const char* help);
  void Switch(const char* name, bool* value, const char* help);
  CLI::App& app() { return *app_; }

  // The frame around main() (apps/guarded_main.h), signal handlers, flags, `run`, and the exit code with its line.
  int Run(int argc, char** argv, const std::function<Status()>& run);

 private:
  std::unique_ptr<CLI::App> app_;
  std::string name_;
};

// "a,b" -> {"a", "b"}; "" has none.
std::vector<std::string> SplitNames(const std::string& text);

}  // namespace couplet

// Command lines as argparse reads them, on top of CLI11: `--flag value` and `--flag=value`, `-` and `_` alike in
// names, unique prefixes, the last of a flag given twice, the nearest name for an unknown flag.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/console.h"
#include "loaders/image.h"
#include "runtime/status.h"

// CLI11 takes seconds to compile: cli.cc alone includes it.
namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace couplet {

// What more there is to say of a flag that was just declared.
class Flag {
 public:
  explicit Flag(CLI::Option* option) : option_(option) {}
  // Bounds of a number; the message names what was given and the bound.
  Flag& AtLeast(double low);
  Flag& Between(double low, double high);
  Flag& OneOf(const std::vector<std::string>& values);
  Flag& Required();
  Flag& ShowDefault(const std::string& text);  // in the help; the value stays

 private:
  CLI::Option* option_;
};

// A program's flags. "--name" is a flag, "name" an argument. What a value holds when it is declared is its default; it
// must outlive Parse().
class CommandLine {
 public:
  CommandLine(const std::string& program, const std::string& about);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  // The heading in the help of all that is declared from now on.
  void Group(const std::string& heading) { group_ = heading; }

  Flag Add(const char* name, std::string* value, const char* help);
  Flag Add(const char* name, int* value, const char* help);
  Flag Add(const char* name, int64_t* value, const char* help);
  Flag Add(const char* name, uint64_t* value, const char* help);
  Flag Add(const char* name, double* value, const char* help);
  Flag Add(const char* name, std::optional<std::string>* value, const char* help);
  Flag Add(const char* name, std::optional<int>* value, const char* help);
  Flag Add(const char* name, std::optional<double>* value, const char* help);
  // A flag's values stand with commas between, an argument's apart.
  Flag Add(const char* name, std::vector<std::string>* values, const char* help);
  Flag Add(const char* name, std::vector<double>* values, const char* help);
  Flag Add(const char* name, bool* value, const char* help);  // a switch

  // Prints help or version and exits 0 when asked to. kBadInput, one line: a flag that is unknown, ambiguous or
  // without its value, a value that is none.
  Status Parse(int argc, char** argv);

  // Parse's first half: full flag names, values as arguments of their own. `args` without the program's name.
  Result<std::vector<std::string>> Canonical(const std::vector<std::string>& args) const;

  struct Setting {
    std::string name, group, value;  // --name; what was given, else the default; a switch's is yes or no
  };
  std::vector<Setting> Settings() const;  // in the order of their declaration, arguments left out

  // All of a small program: signals, flags, `run`, and the exit code with its line. Within GuardedMain (apps/guarded_main.h).
  int Run(int argc, char** argv, const std::function<Status()>& run);

 private:
  template <class T>
  Flag Declare(const char* name, T* value, const char* help, bool show_default);

  std::unique_ptr<CLI::App> app_;
  std::string group_;
};

// "drop", "white" or "black", checked already.
AlphaMode ParseAlpha(const std::string& text);

// What --input_std was given, if anything: pixels, floats, are divided by it.
Status CheckInputStd(const std::optional<double>& input_std);

// "a,b" -> {"a", "b"}; "" has none.
std::vector<std::string> SplitNames(const std::string& text);

}  // namespace couplet

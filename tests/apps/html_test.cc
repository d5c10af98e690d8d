// SPDX-License-Identifier: Apache-2.0
#include "apps/html.h"

#include <string>
#include <vector>

#include "tests/support/test.h"

namespace couplet {
namespace {

TEST_CASE("html: text is escaped, and what is no text is replaced") {
  CHECK(EscapeHtml("a<b & \"c\" 'd'>") == "a&lt;b &amp; &quot;c&quot; &#39;d&#39;&gt;");
  CHECK(EscapeHtml("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\xb7") == "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\xb7");
  const std::string bad = "\xef\xbf\xbd";
  CHECK(EscapeHtml("\xff") == bad);
  CHECK(EscapeHtml("\xc3") == bad);                                  // cut short
  CHECK(EscapeHtml("\xc0\xaf") == bad + bad);                        // overlong
  CHECK(EscapeHtml("\xed\xa0\x80") == bad + bad + bad);              // a surrogate
  CHECK(EscapeHtml("\xf4\x90\x80\x80") == bad + bad + bad + bad);    // beyond Unicode
  CHECK(EscapeHtml(std::string("\0\x1b\x7f", 3)) == bad + bad + bad);
  CHECK(EscapeHtml("a\tb\nc") == "a\tb\nc");
}

TEST_CASE("html: base64 of RFC 4648") {
  const auto encode = [](const std::string& text) { return Base64(std::vector<uint8_t>(text.begin(), text.end())); };
  CHECK(encode("") == "");
  CHECK(encode("f") == "Zg==");
  CHECK(encode("fo") == "Zm8=");
  CHECK(encode("foobar") == "Zm9vYmFy");
  CHECK(encode("\xff\xfe\xfd") == "//79");
}

TEST_CASE("html: JSON cannot end its script") {
  CHECK(JsonForScript(R"({"a":"</script><!--"})") == R"({"a":"\u003c/script>\u003c!--"})");
}

TEST_CASE("html: arguments as a shell reads them back") {
  const std::vector<std::string> arguments = {"build/retrain", "--image_dir=my photos", "it's", "", "$HOME `x` \"y\"", "a\nb", "*"};
  std::string line = "for a in";
  for (const std::string& argument : arguments) line += " " + ShellQuote(argument);
  const auto run = test::RunProcess({"sh", "-c", line + "; do printf '%s|' \"$a\"; done"});
  std::string expected;
  for (const std::string& argument : arguments) expected += argument + "|";
  CHECK(run.out == expected);
  CHECK(ShellQuote("--seed=0") == "--seed=0");
}

TEST_CASE("html: a page needs nothing from elsewhere") {
  const std::string page = HtmlPage("<T>", "<p>B</p>", "");
  CHECK_HAS(page, "<title>&lt;T&gt;</title>");
  CHECK_HAS(page, "<p>B</p>");
  CHECK_HAS(page, "id=\"data\">null</script>");
  // The namespace of SVG is a name, not an address that anything opens.
  std::string rest = page;
  const std::string svg = "http://www.w3.org/2000/svg";
  if (const size_t at = rest.find(svg); at != std::string::npos) rest.erase(at, svg.size());
  for (const char* elsewhere : {"http:", "https:", "@import", "url("}) CHECK(rest.find(elsewhere) == std::string::npos);
}

}  // namespace
}  // namespace couplet

// SPDX-License-Identifier: Apache-2.0
#include "apps/html.h"

#include <fmt/format.h>

#include <algorithm>

namespace couplet {
namespace {

constexpr std::string_view kStyle =
#include "apps/page.css.inc"
    ;
constexpr std::string_view kScript =
#include "apps/page.js.inc"
    ;

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

// Length of the UTF-8 sequence at the front, 0 where there is none (RFC 3629: no surrogates, nothing overlong).
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0}; };
  const auto follows = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const uint8_t lead = byte(0), second = byte(1);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return follows(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const bool bad = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second >= 0xa0);
    return !bad && follows(1) && follows(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const bool bad = (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second >= 0x90);
    return !bad && follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const uint8_t c = static_cast<uint8_t>(text.front());
    if (length == 0 || (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
      out += kReplacement;
    else if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&#39;";
    else
      out += text.substr(0, length);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

std::string Base64(std::span<const uint8_t> bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out((bytes.size() + 2) / 3 * 4, '=');
  char* to = out.data();
  for (size_t i = 0; i < bytes.size(); i += 3, to += 4) {
    const size_t left = bytes.size() - i;
    const uint32_t word =
        uint32_t{bytes[i]} << 16 | (left > 1 ? uint32_t{bytes[i + 1]} << 8 : 0u) | (left > 2 ? bytes[i + 2] : 0u);
    to[0] = kDigits[word >> 18];
    to[1] = kDigits[word >> 12 & 63];
    if (left > 1) to[2] = kDigits[word >> 6 & 63];
    if (left > 2) to[3] = kDigits[word & 63];
  }
  return out;
}

std::string JsonForScript(std::string_view json) {
  // "</script>" and "<!--" end or change a script element; within JSON a "<" stands in strings alone.
  std::string out;
  out.reserve(json.size());
  for (size_t at; (at = json.find('<')) != std::string_view::npos; json.remove_prefix(at + 1)) {
    out += json.substr(0, at);
    out += "\\u003c";
  }
  out += json;
  return out;
}

std::string ShellQuote(std::string_view argument) {
  const bool plain = !argument.empty() && std::all_of(argument.begin(), argument.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./=:,+@%").find(c) != std::string_view::npos;
  });
  if (plain) return std::string(argument);
  std::string out = "'";
  for (const char c : argument) {
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  }
  return out + "'";
}

std::string HtmlPage(std::string_view title, std::string_view body, std::string_view data) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"generator\" content=\"Couplet\">\n<link rel=\"icon\" href=\"data:,\">\n"
      "<title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n{}\n"
      "<script type=\"application/json\" id=\"data\">{}</script>\n<script>\n{}</script>\n</body>\n</html>\n",
      EscapeHtml(title), kStyle, body, data.empty() ? "null" : JsonForScript(data), kScript);
}

}  // namespace couplet

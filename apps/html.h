// Pages that stand alone: text made safe for HTML, and the frame with the style and the script that every page of ours
// carries (apps/page.css, apps/page.js, which the build embeds).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace couplet {

// For text and for attributes in double quotes. What is not UTF-8, and control characters, become U+FFFD.
std::string EscapeHtml(std::string_view text);
std::string Base64(std::span<const uint8_t> bytes);
// JSON (its text, in ASCII or UTF-8) as it may stand within a <script> element.
std::string JsonForScript(std::string_view json);
// An argument as a POSIX shell reads it back.
std::string ShellQuote(std::string_view argument);

// A whole page. `title` is text, `body` HTML; `data` JSON for page.js, "" for none.
std::string HtmlPage(std::string_view title, std::string_view body, std::string_view data);

}  // namespace couplet

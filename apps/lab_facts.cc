// Questions 1 to 7: the words, each shown on the networks and photos at hand.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/chart.h"
#include "apps/html.h"
#include "apps/lab_answers.h"

namespace couplet {
namespace {

using Json = nlohmann::ordered_json;

std::string Source(const std::string& text) { return "<p class=\"soft\">Source: " + text + "</p>"; }

// Each network once, whatever devices it ran on.
std::vector<const Json*> Networks(const Json& lab) {
  std::vector<const Json*> networks;
  for (const Json& system : lab["systems"])
    if (std::none_of(networks.begin(), networks.end(),
                     [&](const Json* one) { return (*one)["graph_sha256"] == system["graph_sha256"]; }))
      networks.push_back(&system);
  return networks;
}

std::string Toolkits() {
  std::string html = Question(1, "TensorFlow: what it is, and who stands behind it");
  html += "<p>A library for computing with graphs of tensor operations and for training them, published by Google in November 2015 under the "
          "Apache licence. Google, where it began as the successor of DistBelief, is the largest contributor. A graph file of TensorFlow holds operations "
          "and weights; the networks of this lab are such files, and so is what <code>retrain</code> writes.</p>";
  html += Source("Abadi et al., TensorFlow: Large-Scale Machine Learning on Heterogeneous Distributed Systems, 2015; the project's AUTHORS file.");
  html += Question(2, "TensorRT, and how it differs from TensorFlow");
  html += "<p>NVIDIA's library that takes a trained network and makes a plan to run it on one kind of NVIDIA GPU: layers are fused, numbers may be "
          "half precision or eight bits, the fastest kernel for each layer is found by timing. It trains nothing and runs on nothing else. TensorFlow "
          "builds and trains networks, and runs them on many devices.</p>";
  html += Source("NVIDIA TensorRT Developer Guide.");
  html += Question(3, "ImageNet: how many images, how many classes");
  html += "<p>A collection of photos sorted by the nouns of WordNet: 14,197,122 images in 21,841 classes. The yearly contest, and nearly every "
          "network that is called trained on ImageNet, used a part of it: 1,000 classes, 1,281,167 training images. Google's MobileNets and Inception "
          "were trained on that part.</p>";
  return html + Source("image-net.org (figures of 2010 and after); Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015.");
}

std::string Architectures(const Json& lab) {
  std::string html = Question(4, "MobileNet and GoogLeNet (Inception): what differs");
  html += "<p>Inception sends its input through several convolutions of different size side by side and joins what they give: every block looks at "
          "small and large patterns at once. MobileNet splits each convolution into two cheap ones: one filter a channel (depthwise), then a 1 x 1 "
          "convolution that mixes the channels. A 3 x 3 layer costs eight to nine times less that way, and a width factor thins all layers alike.</p>";
  html += "<div class=\"scroll\"><table><thead><tr><th>counted off the graph</th><th>nodes in the file</th><th>layers with weights</th>"
          "<th>depthwise</th><th>joins</th><th>parameters</th><th>multiply-adds a photo</th><th>input</th></tr></thead><tbody>";
  std::vector<Bar> bars;
  for (const Json* network : Networks(lab)) {
    const Json& graph = (*network)["graph"];
    const double operations = graph["multiply_adds"].get<double>();
    html += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.2f} million</td><td>{:.0f} million</td><td>{} x {}</td></tr>",
                        EscapeHtml((*network)["architecture"].get<std::string>()), graph["nodes"].get<int>(), graph["weight_layers"].get<int>(),
                        graph["kinds"].value("Depthwise", 0), graph["kinds"].value("Concat", 0), graph["parameters"].get<double>() / 1e6,
                        operations / 1e6, (*network)["input_size"].get<int>(), (*network)["input_size"].get<int>());
    bars.push_back({(*network)["architecture"], {{operations, ""}}, fmt::format("{:.0f} million", operations / 1e6)});
  }
  html += "</tbody></table></div>" + BarChart("Multiply-adds a photo (two FLOP each)", {}, bars);
  return html + "<p class=\"soft\">Up to the bottleneck, batch norms folded into the convolutions before them.</p>" +
         Source("Szegedy et al., Going Deeper with Convolutions, 2014, and Rethinking the Inception Architecture, 2015; Howard et al., MobileNets, 2017.");
}

std::string Bottleneck(const Json& lab) {
  std::string html = Question(5, "What a bottleneck is");
  html += "<p>The numbers that a network has made of a photo just before its last layer decides. All that the last layer gets to know of the photo "
          "passes through them, as through a bottle's neck. They are computed once a photo and kept, because the layers before do not change: "
          "every training of this lab took the same ones.</p>";
  for (const Json* network : Networks(lab)) {
    const Json& example = (*network)["example"];
    ChartSeries series{(*network)["bottleneck"], {}, {}, {}, {}};
    for (const Json& value : example["vector"]) {
      series.x.push_back(static_cast<double>(series.x.size()));
      series.y.push_back(value.get<double>());
    }
    const std::string picture = network == Networks(lab).front() ? example["thumbnail"].get<std::string>() : "";
    if (!picture.empty())
      html += fmt::format("<figure class=\"photo\"><div class=\"frame\"><img src=\"data:image/jpeg;base64,{}\" alt=\"\"></div><figcaption>{}"
                          "<span class=\"file\">{}</span></figcaption></figure>", picture, EscapeHtml(example["label"].get<std::string>()),
                          EscapeHtml(example["path"].get<std::string>()));
    html += LineChart({fmt::format("{}: its {} numbers", (*network)["architecture"].get<std::string>(), series.x.size()), "place in the vector",
                       "value", false, false, false}, {series});
  }
  return html;
}

std::string Reuse(const Json& lab) {
  std::string html = Question(6, "Bottlenecks and freezing layers: what differs");
  html += "<p>Freezing says which weights a training may not change; every photo still runs through the frozen layers at each step. Bottlenecks "
          "are values, not a rule: what the frozen layers give, computed once and kept. Both lead to the same head as long as photos "
          "are not distorted; with distortions every step has new photos, so nothing can be kept.</p>";
  for (const Json& system : lab["systems"]) {
    const double photo = 1 / system["extraction"]["photos_per_second"].get<double>();
    double step = 0;
    for (const Json& run : system["runs"]) step = std::max(step, run["seconds"].get<double>() / std::max(1, run["steps"].get<int>()));
    html += fmt::format("<p>{}: a step on 100 kept bottlenecks takes {:.3f} ms; running its 100 photos through the frozen layers first would "
                        "add {:.0f} ms.</p>", EscapeHtml(SystemName(system)), step * 1e3, photo * 100 * 1e3);
  }
  html += Question(7, "The layers before the last: where they came from, and how they were used");
  html += "<p>Whoever published the file trained them before: Google its own on ImageNet, for days on many machines. Here they are read, not changed: "
          "photos run through them up to the bottleneck, and a new last layer, one weight for each bottleneck value and label, is trained on what comes out. "
          "In the graph that <code>retrain</code> writes, their bytes are the file's own.</p>"
          "<div class=\"scroll\"><table><thead><tr><th>network</th><th>read, unchanged</th><th>trained here</th></tr></thead><tbody>";
  for (const Json* network : Networks(lab)) {
    const double trained = (*network)["features"].get<double>() * static_cast<double>(lab["setting"]["labels"].size()) +
                           static_cast<double>(lab["setting"]["labels"].size());
    html += fmt::format("<tr><td>{}</td><td>{:.2f} million parameters</td><td>{:.0f}</td></tr>",
                        EscapeHtml((*network)["architecture"].get<std::string>()), (*network)["graph"]["parameters"].get<double>() / 1e6, trained);
  }
  return html + "</tbody></table></div>";
}

}  // namespace

std::string LabFacts(const Json& lab) { return Toolkits() + Architectures(lab) + Bottleneck(lab) + Reuse(lab); }

}  // namespace couplet

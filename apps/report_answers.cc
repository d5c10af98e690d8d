// How good the graph is: headline, curves, confusion matrix, classes.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "apps/chart.h"
#include "apps/html.h"
#include "apps/report_sections.h"
#include "models/training_advice.h"
#include "models/wilson.h"

namespace couplet {
namespace {

constexpr size_t kCurvePoints = 400;
constexpr double kOverfit = 0.10;   // training above test accuracy
constexpr double kImbalance = 3.0;  // largest class over smallest

struct SplitScore {
  int right = 0, n = 0;
  double accuracy() const { return n > 0 ? static_cast<double>(right) / n : 0.0; }
};

std::array<SplitScore, 3> ScoreSplits(const RetrainReport& report) {
  std::array<SplitScore, 3> splits;
  for (const PhotoScore& score : report.scores) {
    SplitScore& split = splits[static_cast<size_t>(score.split)];
    ++split.n;
    split.right += score.predicted == score.label;
  }
  return splits;
}

std::string IntervalBar(double accuracy, const Interval& interval) {
  return fmt::format("<div class=\"interval\"><i style=\"left:{:.2f}%;width:{:.2f}%\"></i><b style=\"left:{:.2f}%\"></b></div>",
                     interval.low * 100, (interval.high - interval.low) * 100, accuracy * 100);
}

std::string Between(const Interval& interval) {
  return fmt::format("{:.1f} to {:.1f} %", interval.low * 100, interval.high * 100);
}

std::string SplitCard(const char* name, const SplitScore& split, const char* what) {
  if (split.n == 0) return fmt::format("<div class=\"card\">{}<b>no photos</b><span class=\"soft\">{}</span></div>", name, what);
  const Interval interval = WilsonInterval(split.right, split.n);
  return fmt::format("<div class=\"card\">{}: N = {}<b>{}</b>{}<span class=\"soft\">{}; {}</span></div>", name, split.n,
                     Percent(split.accuracy()), IntervalBar(split.accuracy(), interval), Between(interval), what);
}

// Whether the mean cross-entropy on validation photos, of the last fifth of the evaluations, is well below that of the
// fifth before.
bool StillLearning(const std::vector<EvalPoint>& history) {
  const size_t fifth = history.size() / 5;
  if (fifth < 3 || history.back().validation_n == 0) return false;
  const auto mean = [&](size_t from) {
    double sum = 0;
    for (size_t i = from; i < from + fifth; ++i) sum += history[i].validation_cross_entropy;
    return sum / static_cast<double>(fifth);
  };
  return mean(history.size() - fifth) < 0.9 * mean(history.size() - 2 * fifth);
}

void NoteAccuracy(const ReportInput& in, const std::array<SplitScore, 3>& splits, std::vector<std::string>* notes) {
  const Evaluation& test = in.report.test;
  if (test.n == 0) {
    notes->push_back("There are no test photos, so nothing is known of new photos: give <code>--testing_percentage</code> above 0.");
    return;
  }
  const double accuracy = static_cast<double>(test.correct) / test.n;
  const Interval interval = WilsonInterval(test.correct, test.n);
  if (interval.high - interval.low > 0.1)
    notes->push_back(fmt::format("{} are few: the true accuracy may well be anywhere from {}. Four times as many halve "
                                 "that range.", Count(static_cast<size_t>(test.n), "test photo"), Between(interval)));
  if (splits[0].n > 0 && splits[0].accuracy() - accuracy > kOverfit)
    notes->push_back(fmt::format("It knows {} of the photos it was trained on and {} of the others: it learnt single photos by "
                                 "heart. More photos help most, then distortions such as <code>--flip_left_right</code>.",
                                 Percent(splits[0].accuracy()), Percent(accuracy)));
  for (int c = 0; c < test.classes; ++c)
    if (test.actual(c) >= 5 && test.right(c) == 0)
      notes->push_back(fmt::format("Not one of {} test photos of <b>{}</b> was recognised.", test.actual(c),
                                   EscapeHtml(in.set.labels[static_cast<size_t>(c)])));
}

void NoteTraining(const ReportInput& in, std::vector<std::string>* notes) {
  const TrainResult& training = in.report.training;
  if (training.stopped.code() == Code::kDiverged)
    notes->push_back("<span class=\"wrong\">" + EscapeHtml(training.stopped.message()) + "</span>");
  for (const std::string& line : TrainingAdvice(training, in.report.test, in.set.labels, in.options.learning_rate))
    notes->push_back(EscapeHtml(line) + ".");
  if (training.stopped.ok() && StillLearning(training.history))
    notes->push_back("The cross-entropy on validation photos was still falling at the end: more <code>--how_many_training_steps</code> may help.");
}

void NotePhotos(const ReportInput& in, std::vector<std::string>* notes) {
  const RetrainReport& report = in.report;
  if (const size_t wrong = report.wrong_labels.found.size(); wrong > 0)
    notes->push_back(fmt::format("<a href=\"#labels\">{}</a> probably {} in the wrong folder.", Count(wrong, "photo"), wrong == 1 ? "lies" : "lie"));
  if (const size_t pairs = report.near_duplicates ? report.near_duplicates->size() : 0; pairs > 0)
    notes->push_back(fmt::format("<a href=\"#copies\">{}</a> nearly the same photo in training: their answers "
                                 "are known beforehand, so the accuracy looks better than it is.",
                                 pairs == 1 ? "1 held-out photo has" : Count(pairs, "held-out photo") + " have"));
  size_t least = std::numeric_limits<size_t>::max(), most = 0;
  for (const auto& rows : in.set.rows[0]) {
    least = std::min(least, rows.size());
    most = std::max(most, rows.size());
  }
  if (static_cast<double>(most) > kImbalance * static_cast<double>(least))
    notes->push_back(fmt::format("<a href=\"#balance\">The classes differ in size</a>: {} against {} training photos. Training draws "
                                 "all classes equally often, so the small ones are seen again and again.", most, least));
  if (!report.left_out.empty())
    notes->push_back(fmt::format("<a href=\"#left-out\">{}</a> could not be read and {} left out.",
                                 report.left_out.size() == 1 ? "1 photo" : Count(report.left_out.size(), "photo"),
                                 report.left_out.size() == 1 ? "was" : "were"));
}

std::string Findings(const ReportInput& in, const std::array<SplitScore, 3>& splits) {
  std::vector<std::string> notes;
  NoteTraining(in, &notes);
  NoteAccuracy(in, splits, &notes);
  NotePhotos(in, &notes);
  if (notes.empty()) notes.push_back("Nothing odd was found in photos or training.");
  std::string html = "<h3>What stands out</h3><ul class=\"findings\">";
  for (const std::string& note : notes) html += "<li>" + note + "</li>";
  return html + "</ul>";
}

// One cell: the count, and its share of the row as colour.
std::string Cell(const ReportInput& in, int row, int column) {
  const Evaluation& test = in.report.test;
  const int count = test.confusion[static_cast<size_t>(int64_t{row} * test.classes + column)];
  if (count == 0) return "<td class=\"cell\"><span class=\"zero\">0</span></td>";
  const double share = static_cast<double>(count) / test.actual(row);
  const std::string from = EscapeHtml(in.set.labels[static_cast<size_t>(row)]);
  const std::string to = EscapeHtml(in.set.labels[static_cast<size_t>(column)]);
  const std::string title = row == column ? fmt::format("{} of {} recognised: {}", count, from, Percent(share))
                                          : fmt::format("{} of {} taken for {}: {}", count, from, to, Percent(share));
  return fmt::format("<td class=\"cell\" style=\"background:rgba(var({}),{:.2f})\"><button type=\"button\" data-cell=\"{}\" "
                     "aria-pressed=\"false\" title=\"{}\">{}</button></td>",
                     row == column ? "--cell" : "--miss", 0.08 + 0.55 * share, row * test.classes + column, title, count);
}

}  // namespace

std::string HeadlineSection(const ReportInput& in) {
  const Evaluation& test = in.report.test;
  std::string html = fmt::format("<header><h1>{}</h1><p class=\"soft\">{}, {} training steps, learning rate {}, on the {}</p>"
                                 "<nav><a href=\"#curves\">Training</a><a href=\"#confusion\">Confusion</a><a href=\"#classes\">Classes</a>"
                                 "<a href=\"#mistakes\">Mistakes</a><a href=\"#labels\">Wrong labels</a><a href=\"#copies\">Copies</a>"
                                 "<a href=\"#balance\">Balance</a><a href=\"#run\">The run</a></nav></header>",
                                 EscapeHtml(in.options.image_dir), EscapeHtml(in.report.architecture), in.report.training.steps,
                                 in.options.learning_rate, in.report.device == "cpu" ? "CPU" : "GPU");
  if (test.n > 0) {
    const double accuracy = static_cast<double>(test.correct) / test.n;
    const Interval interval = WilsonInterval(test.correct, test.n);
    html += fmt::format("<p class=\"headline\"><strong>{}</strong><span>of {} test photos are recognised (N = {}).<br>"
                        "<span class=\"soft\">With 95 % confidence the share is {} for photos like these (Wilson interval).</span></span></p>",
                        Percent(accuracy), test.n, test.n, Between(interval));
  } else {
    html += "<p class=\"headline\"><strong>?</strong><span>There are no test photos.</span></p>";
  }
  const std::array<SplitScore, 3> splits = ScoreSplits(in.report);
  html += "<div class=\"cards\">" + SplitCard("Training", splits[0], "photos it learnt from") +
          SplitCard("Validation", splits[1], "all of them, after the last step") +
          SplitCard("Testing", {test.correct, test.n}, "photos it never saw") + "</div>";
  return html + Findings(in, splits);
}

std::string CurvesSection(const ReportInput& in) {
  ChartSeries train{"training", {}, {}, {}, {}}, validation{"validation", {}, {}, {}, {}}, loss = train, validation_loss = validation;
  const double none = std::numeric_limits<double>::quiet_NaN();
  for (const EvalPoint& point : in.report.training.history) {
    for (ChartSeries* series : {&train, &validation, &loss, &validation_loss}) series->x.push_back(point.step);
    const bool validated = point.validation_n > 0;
    train.y.push_back(point.train_accuracy / 100);
    validation.y.push_back(validated ? point.validation_accuracy / 100 : none);
    loss.y.push_back(point.cross_entropy);
    validation_loss.y.push_back(validated ? point.validation_cross_entropy : none);
  }
  std::string html = "<section><h2 id=\"curves\">Training</h2>"
                     "<p>After every few steps: how many photos of the step's own batch, and of a batch of validation photos, are "
                     "recognised. Training far above validation means photos learnt by heart.</p><div class=\"plots\">";
  html += LineChart({"Accuracy", "training step", "of a batch", true, false, false},
                    {Thinned(train, kCurvePoints), Thinned(validation, kCurvePoints)});
  html += LineChart({"Cross-entropy", "training step", "mean over a batch, in nats; what training makes smaller", false, false, false},
                    {Thinned(loss, kCurvePoints), Thinned(validation_loss, kCurvePoints)});
  return html + "</div></section>";
}

std::string ConfusionSection(const ReportInput& in) {
  const Evaluation& test = in.report.test;
  if (test.n == 0) return "";
  std::string html = "<section><h2 id=\"confusion\">Confusion matrix</h2><p>A row holds the test photos of one label, a column what "
                     "they were taken for. <span class=\"hint\">A click on a cell shows its photos.</span></p>"
                     "<div class=\"scroll\"><table class=\"confusion\"><thead><tr><th>true label</th>";
  for (const std::string& label : in.set.labels) html += "<th class=\"name\">" + EscapeHtml(label) + "</th>";
  html += "<th>N</th></tr></thead><tbody>";
  for (int row = 0; row < test.classes; ++row) {
    html += "<tr><th class=\"left\">" + EscapeHtml(in.set.labels[static_cast<size_t>(row)]) + "</th>";
    for (int column = 0; column < test.classes; ++column) html += Cell(in, row, column);
    html += fmt::format("<td>{}</td></tr>", test.actual(row));
  }
  return html + "</tbody></table></div><div id=\"cell-photos\"></div></section>";
}

std::string ClassesSection(const ReportInput& in) {
  const Evaluation& test = in.report.test;
  if (test.n == 0) return "";
  std::string html = "<section><h2 id=\"classes\">Classes</h2><p>Precision: of the photos taken for a label, how many are it. "
                     "Recall: of its photos, how many were found. F1: their harmonic mean.</p><div class=\"scroll\"><table><thead><tr>"
                     "<th>label</th><th>N</th><th>precision</th><th>recall</th><th>95 % interval of recall</th><th>F1</th></tr></thead><tbody>";
  for (int c = 0; c < test.classes; ++c) {
    const auto precision = test.precision(c), recall = test.recall(c);
    const Interval interval = WilsonInterval(test.right(c), test.actual(c));
    // 2 / (1 / precision + 1 / recall) = 2 right / (photos of c + photos taken for c)
    const int both = test.actual(c) + test.taken_for(c);
    html += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                        EscapeHtml(in.set.labels[static_cast<size_t>(c)]), test.actual(c), precision ? Percent(*precision) : "-",
                        recall ? Percent(*recall) : "-", recall ? Between(interval) : "-",
                        both > 0 ? fmt::format("{:.3f}", 2.0 * test.right(c) / both) : "-");
  }
  return html + "</tbody></table></div></section>";
}

}  // namespace couplet

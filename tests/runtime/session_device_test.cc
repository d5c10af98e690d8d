// What the session does for devices: results in slices, recordings, late failures, timed runs.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/session.h"
#include "tests/support/fake_backend.h"
#include "tests/support/test.h"

using namespace couplet;
using namespace couplet::test;

TEST_CASE("session: a concatenation's sources are computed in their place where nothing else reads them") {
  FakeBackend backend;
  backend.slices = true;
  Graph graph;
  const Shape shape = {1, 2, 2, 16};
  graph.layers.push_back({"in", {}, shape, InputAttrs{}});
  for (int i = 0; i < 3; ++i) graph.layers.push_back({"abc", {0}, shape, RandomAffine(16, 3)});
  graph.layers.push_back({"cat", {1, 2, 3}, {1, 2, 2, 48}, ConcatAttrs{}});
  graph.output = 4;
  const size_t photo = 2 * 2 * 16 * sizeof(float);
  CHECK(MustCreate(graph, backend, {})->worker_bytes() == (1 + 3) * photo);
  CHECK(Session::BytesPerPhoto(graph, backend).value() == (1 + 3) * photo);
  graph.layers.push_back({"second reader", {2}, shape, RandomAffine(16, 4)});
  graph.layers.push_back({"cat", {4, 5}, {1, 2, 2, 64}, ConcatAttrs{}});
  graph.output = 6;  // 2 is read twice and lies apart; 4, a concatenation itself, is copied
  const std::vector<float> pixels = Pixels(graph, 1, 1);
  CHECK(RunOnce(*MustCreate(graph, backend, {}), pixels) == Evaluate(graph, pixels)[6]);
  backend.slices = false;
  CHECK(Session::BytesPerPhoto(graph, backend).value() == (4 + 3 + 1) * photo);
}

TEST_CASE("session: the second full batch is recorded, then replayed") {
  FakeBackend backend;
  backend.records = true;
  backend.batch_step = 4;
  const Graph graph = RandomGraph(11, InputAttrs{});
  const auto session = MustCreate(graph, backend, {.max_batch = 3});
  CHECK(session->max_batch() == 4);
  auto worker = session->NewWorker();
  REQUIRE(worker.ok());
  const int replays[] = {0, 1, 2, 2, 3};
  int run = 0;
  for (const int n : {4, 4, 4, 3, 4}) {
    const std::vector<float> pixels = Pixels(graph, n, static_cast<uint32_t>(run));
    std::vector<float> out(static_cast<size_t>(n * session->output_size()));
    REQUIRE(session->RunPixels(**worker, pixels, out).ok());
    CHECK(out == RunOnce(*session, pixels));
    CHECK(backend.replays == replays[run++]);
  }
  CHECK(backend.recordings == 1);
  // Again and again over the pixels that are there, without the host.
  REQUIRE(session->RunAgain(**worker, 4, 5).ok());
  CHECK(backend.replays == 8);
  REQUIRE(session->RunAgain(**worker, 3, 2).ok());
  CHECK(backend.replays == 8);
}

TEST_CASE("session: a failure that shows up late is reported with the layer's name on a worker's first run") {
  FakeBackend backend;
  Graph graph;
  graph.layers.push_back({"in", {}, {1, 1, 1, 2}, InputAttrs{}});
  for (int i = 0; i < 3; ++i)
    graph.layers.push_back({"conv" + std::to_string(i), {i}, {1, 1, 1, 2}, RandomAffine(2, 3)});
  graph.output = 3;
  const auto session = MustCreate(graph, backend, {});
  auto worker = session->NewWorker();
  REQUIRE(worker.ok());
  std::vector<float> out(2);
  backend.fail_wait = 1;
  const Status first = session->RunPixels(**worker, std::vector<float>{1, 2}, out);
  CHECK(first.message() == "layer 'conv1': illegal address");
  backend.waits = 0;
  backend.fail_wait = 0;  // later runs wait once, at the end
  CHECK(session->RunPixels(**worker, std::vector<float>{1, 2}, out).message() == "illegal address");
  CHECK(backend.waits == 1);

  graph.layers[0].attrs = PreprocessAttrs{};  // the photos' own layer is not taken for the one after it
  const auto photos = MustCreate(graph, backend, {});
  worker = photos->NewWorker();
  REQUIRE(worker.ok());
  const std::vector<uint8_t> bytes = {10, 20};
  const std::vector<ImageEntry> entries = {{1, 1, 0, 0}};
  backend.waits = 0;
  CHECK(photos->Run(**worker, {bytes, entries}, out).message() == "layer 'in': illegal address");
}

TEST_CASE("session: a timed run gives the same values and one time a layer") {
  FakeBackend backend;
  const Graph graph = RandomGraph(11, PreprocessAttrs{});
  const auto session = MustCreate(graph, backend, {.max_batch = 2});
  auto worker = session->NewWorker();
  REQUIRE(worker.ok());
  const std::vector<uint8_t> bytes = {10, 20};
  const std::vector<ImageEntry> entries = {{1, 1, 0, 0}, {1, 1, 1, 0}};
  std::vector<float> want(2 * static_cast<size_t>(session->output_size())), out(want.size());
  REQUIRE(session->Run(**worker, {bytes, entries}, want).ok());
  std::vector<LayerTime> times;
  REQUIRE(session->RunTimed(**worker, {bytes, entries}, out, &times).ok());
  CHECK(out == want);
  REQUIRE(times.size() == graph.layers.size());
  for (size_t i = 0; i < times.size(); ++i) {
    CHECK(times[i].layer == graph.layers[i].name);
    const bool works = !std::holds_alternative<IdentityAttrs>(graph.layers[i].attrs);
    CHECK((times[i].ms > 0.0) == works);
  }
}

namespace {

// With what the backend makes one: pairs as they are prepared, longer runs afterwards, or both.
void CheckDoneAsOne(bool pairs, size_t joins) {
  FakeBackend apart, pairing;
  pairing.pairs = pairs;
  pairing.joins = joins;
  int starts = 0, names = 0, smaller = 0;
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    pairing.slices = apart.slices = seed % 2 == 0;
    const Graph graph = RandomGraph(seed, PreprocessAttrs{});
    const auto session = MustCreate(graph, pairing, {.max_batch = 2, .prepare_threads = 1 + static_cast<int>(seed % 2)});
    smaller += session->worker_bytes() < MustCreate(graph, apart, {.max_batch = 2})->worker_bytes() ? 1 : 0;
    auto worker = session->NewWorker();
    REQUIRE(worker.ok());
    const std::vector<uint8_t> bytes = {10, 20};
    const std::vector<ImageEntry> entries = {{1, 1, 0, 0}, {1, 1, 1, 0}};
    const auto size = static_cast<size_t>(session->output_size());
    std::vector<float> want, pixels, got(2 * size), timed(2 * size);
    for (const uint8_t byte : bytes) {
      std::vector<float> photo;
      for (int i = 0; i < 12; ++i) photo.push_back(static_cast<float>(byte + i));
      const std::vector<float> row = Evaluate(graph, photo)[static_cast<size_t>(graph.output)];
      want.insert(want.end(), row.begin(), row.end());
      pixels.insert(pixels.end(), photo.begin(), photo.end());
    }
    for (int run = 0; run < 3; ++run) {
      REQUIRE(session->Run(**worker, {bytes, entries}, got).ok());
      CHECK(got == want);
      std::fill(got.begin(), got.end(), NAN);
      REQUIRE(session->RunPixels(**worker, pixels, got).ok());  // where photos are no layer of their own either
      CHECK(got == want);
    }
    std::vector<LayerTime> times;
    REQUIRE(session->RunTimed(**worker, {bytes, entries}, timed, &times).ok());
    CHECK(timed == want);
    for (size_t i = 0; i < times.size(); ++i) {
      if (times[i].layer == graph.layers[i].name) continue;
      size_t first = i, layers = 1;
      do {
        first = static_cast<size_t>(graph.layers[first].inputs[0]);
        CHECK(times[first].ms == 0.0);
        ++layers;
      } while (!times[i].layer.starts_with(graph.layers[first].name + " "));
      CHECK(times[i].layer == graph.layers[first].name + (layers == 2 ? " + " : " .. ") + graph.layers[i].name);
      CHECK(layers <= 2 * std::max<size_t>(joins, 1));
      ++names;
      starts += first == 0 ? 1 : 0;
    }
    REQUIRE(session->RunAgain(**worker, 2, 1).ok());
    const int before = pairing.paired, joined_before = pairing.joined, paired_joined = pairing.paired_joined;
    MustCreate(graph, pairing, {.keep_all = true});
    CHECK(pairing.paired == before);  // what is compared layer by layer is done so
    MustCreate(graph, pairing, {.each_by_itself = true});
    MustCreate(graph, pairing, {.threads = 2});
    CHECK(pairing.joined == joined_before);
    pairing.paired = before;
    CHECK(pairing.paired_joined == paired_joined);
  }
  CHECK(names == pairing.paired - pairing.paired_joined + pairing.joined);
  if (pairs && joins > 0) CHECK(pairing.paired_joined > 0);
  if (pairs) CHECK(starts > 3);
  CHECK(names > starts + 10);
  CHECK(smaller > 3);
}

}  // namespace

TEST_CASE("session: layers that the backend does in pairs give the values that they give apart") { CheckDoneAsOne(true, 0); }

TEST_CASE("session: layers that the backend joins give the values that they give apart, pairs beside them") {
  CheckDoneAsOne(false, 2);
  CheckDoneAsOne(false, 9);
  CheckDoneAsOne(true, 3);
  CheckDoneAsOne(true, 9);
}

# Knobs: make BUILD=asan CUDA=0 PREFIX=/opt/couplet install
CUDA   ?= auto
CPU    ?= auto
ARCHS  ?=
BUILD  ?= release
PREFIX ?= /usr/local
# `make help` lists the targets, `make print-config` every decision taken here.

ifeq ($(filter $(BUILD),release debug asan tsan fuzz),)
$(error BUILD=$(BUILD) is none of release, debug, asan, tsan, fuzz)
endif
ifeq ($(filter $(CUDA),auto 0 1),)
$(error CUDA=$(CUDA) is none of auto, 0, 1)
endif
ifeq ($(filter $(CPU),own onednn auto),)
$(error CPU=$(CPU) is none of own, onednn, auto)
endif

# Every processor, unless a number was asked for: make -j1.
ifeq ($(MAKELEVEL)$(filter -j% --jobserver%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif

# Release programs lie in build/, every other kind of build in a folder of its own.
OUT := build$(if $(filter-out release,$(BUILD)),/$(BUILD))
OBJ := $(OUT)/obj
GEN := $(OUT)/gen

OPT_release := -O3 -DNDEBUG -g1
OPT_debug   := -O0 -g
OPT_asan    := -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
OPT_tsan    := -O1 -g1 -fno-omit-frame-pointer -fsanitize=thread
# Built by clang alone, by `make fuzz`.
OPT_fuzz    := -O1 -g1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
SANITIZED   := $(filter asan tsan,$(BUILD))
# The sanitized suites leave out what takes long and finds little, each with its reason below; with THOROUGH=1, as in make
# check-all, they do not.
THOROUGH ?=

CXX      ?= g++
# What a release takes against faults we do not know of; make check-hardening sees that it is there. Not beside the sanitizers, which see more.
# Branches are marked as targets by the processor's own scheme. FORTIFY 2, not 3: compilers and C libraries from 2018 on have it.
HARDENING_x86_64 := -fcf-protection=full
HARDENING_aarch64 := -mbranch-protection=standard
HARDENING_release := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong $(HARDENING_$(firstword $(subst -, ,$(shell $(CXX) -dumpmachine 2>/dev/null))))
# (A -shared behind it undoes -pie.)
LINK_release := -pie -Wl,-z,relro,-z,now,-z,noexecstack
# The sanitizers' instrumentation makes g++ warn of what is not so; a release has warned of the same sources.
WARNINGS := $(if $(SANITIZED),-w,-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Werror)
# So that what a program does not use can be left out of it. Who builds with sanitizers gives it to nobody, and saves a
# twentieth of the time.
SECTIONS := $(if $(SANITIZED),,-ffunction-sections -fdata-sections)
# -ffp-contract=off: a fused multiply-add only where the source says so, so that bits do not depend on the compiler's mood.
# -fPIC: one object serves the programs, the tests and the CUDA engine's shared object; hidden, it costs them nothing.
CXXFLAGS_ALL := -std=c++20 -pthread -fPIC -fvisibility=hidden -ffp-contract=off $(SECTIONS) $(OPT_$(BUILD)) $(HARDENING_$(BUILD)) -I. -I$(GEN) -MMD -MP $(CXXFLAGS)
LDFLAGS_ALL  := -pthread -Wl,--as-needed -Wl,--gc-sections $(LINK_$(BUILD)) $(filter -fsanitize=%,$(OPT_$(BUILD))) $(LDFLAGS)
# CPU=own: convolutions and pools of our own; onednn: the library's, ours beside them; auto: what measured faster, which is our
# own (docs/measured/cpu.md).
ONEDNN := $(filter onednn,$(CPU))
LIBS := -ldl $(if $(ONEDNN),-ldnnl -lgomp) -lprotobuf-lite -ljpeg -lgif -lsqlite3 -lhwy -lfmt
# libcurl, libarchive and libcrypto are opened when used (loaders/opened_when_used.cc); the tests write archives, too.
TEST_LIBS = $(LIBS) -larchive

# What a build needs from the distribution, by Debian's and Ubuntu's names.
DEPS := make g++ $(if $(ONEDNN),libdnnl-dev) libprotobuf-dev protobuf-compiler libstb-dev libgif-dev libjpeg-dev libsqlite3-dev \
        libssl-dev libboost-dev libhwy-dev libcurl4-openssl-dev libarchive-dev libcli11-dev libfmt-dev nlohmann-json3-dev doctest-dev \
        ca-certificates
DEMO_DEPS        := tuxpaint-stamps-default
JUDGE_DEPS       := tuxpaint-stamps-default fonts-noto-color-emoji unicode-data python3-venv
TENSORBOARD_DEPS := python3-venv

# What is installed, and what only the Makefile and the tests call.
PROGRAMS := $(patsubst apps/%.cc,%,$(wildcard $(addprefix apps/,$(addsuffix .cc,retrain label_image lab evaluate count_ops graph_pb2tb optimize_for_inference quantize_graph show_image))))
TOOLS    := $(patsubst apps/%.cc,%,$(wildcard apps/fetch.cc apps/tune.cc))
LIB_SRC  := $(filter-out $(if $(ONEDNN),,runtime/cpu/onednn.cc),$(sort $(wildcard runtime/*.cc runtime/cpu/*.cc loaders/*.cc models/*.cc)))
APP_SRC  := $(filter-out $(patsubst %,apps/%.cc,$(PROGRAMS) $(TOOLS)),$(sort $(wildcard apps/*.cc)))
FUZZ_TARGETS_SRC := $(sort $(wildcard tests/fuzz/*targets.cc))
TEST_SRC := $(sort $(wildcard tests/*.cc tests/support/*.cc tests/support/simt/*.cc tests/kernels/*.cc tests/runtime/*.cc tests/runtime/cpu/*.cc tests/runtime/cuda/*.cc tests/loaders/*.cc \
                              tests/models/*.cc tests/apps/*.cc tests/weights/*.cc tests/boards/*.cc tests/bench/kernels/*_rows.cc $(FUZZ_TARGETS_SRC) tests/fuzz/*_test.cc) tests/bench/compare.cc tests/bench/compare_test.cc)
# Stand-ins for NVIDIA's libraries, held to the toolkit's own headers: they exist where those are, of CUDA 11.8 or newer (they
# play calls that older ones do not declare, and nobody has compiled them with any between).
find_header = $(firstword $(wildcard $(patsubst %,%/include/$(1),$(2) /usr/local/cuda /usr)))
CUDA_HEADERS := $(if $(filter 0,$(CUDA)),,$(call find_header,cuda_runtime_api.h,$(CUDA_HOME)))
CUDNN_HEADERS := $(if $(CUDA_HEADERS),$(call find_header,cudnn.h,$(CUDNN_HOME) $(CUDA_HOME)))
TOOLKIT_INC := $(patsubst %,-isystem %,$(filter-out /usr/include,$(sort $(patsubst %/,%,$(dir $(CUDA_HEADERS) $(CUDNN_HEADERS))))))
CUDA_IS_PLAYED := $(if $(CUDNN_HEADERS),$(shell awk '$$2 == "CUDART_VERSION" && $$3 >= 11080 { print "yes" }' $(CUDA_HEADERS)))
STANDIN_SRC := $(if $(CUDA_IS_PLAYED),$(filter-out %_test.cc %/libcuda.cc,$(sort $(wildcard tests/support/standin/*.cc))))
ifneq ($(STANDIN_SRC),)
# But for launch.cc, which takes the kernels' launches: in the tests' own program they run at once.
TEST_SRC += $(filter-out %/launch.cc,$(STANDIN_SRC)) $(sort $(wildcard tests/support/standin/*_test.cc))
endif
# Under ThreadSanitizer only the tests with threads are of use, and what they run. That is no program: apps/ starts no thread,
# and the classifier and the extractor under the programs have tests of their own.
THREADS_ONLY := $(if $(THOROUGH),,$(filter tsan,$(BUILD)))
ifneq ($(THREADS_ONLY),)
APP_SRC  :=
TEST_SRC := $(filter-out %_test.cc tests/fuzz/% tests/bench/% tests/support/standin/%,$(TEST_SRC)) $(shell grep -l '\[threads\]' $(filter %_test.cc,$(TEST_SRC)))
endif
# AddressSanitizer looks at what is tested: the tests' own code is a release's, which CI has compiled before. Not so tests that ask the
# compiler whether it is there.
SHARED_TESTS := $(if $(THOROUGH),,$(if $(filter asan,$(BUILD)),$(shell grep -L __SANITIZE_ $(filter %_test.cc,$(TEST_SRC)))))
PROTO    := $(wildcard loaders/*.proto)

PROTO_OBJ := $(PROTO:%.proto=$(OBJ)/%.pb.o)
LIB_OBJ   := $(LIB_SRC:%.cc=$(OBJ)/%.o) $(PROTO_OBJ)
APP_OBJ   := $(APP_SRC:%.cc=$(OBJ)/%.o)
# The kernels twice: for the GPU by nvcc, and for the tests' harness, which runs the same bodies on the CPU, by g++.
KERNEL_SRC := $(sort $(wildcard kernels/*.cu))
KERNEL_OBJ := $(KERNEL_SRC:%=$(OBJ)/%.o)
SIMT_OBJ   := $(KERNEL_SRC:%.cu=$(OBJ)/simt/%.o)
SHARED_OBJ := $(SHARED_TESTS:%.cc=build/obj/%.o)
TEST_OBJ   := $(patsubst %.cc,$(OBJ)/%.o,$(filter-out $(SHARED_TESTS),$(TEST_SRC))) $(SIMT_OBJ) $(SHARED_OBJ)
LIBRARY   := $(OUT)/libcouplet.a
PROGRAM_OBJ := $(patsubst %,$(OBJ)/apps/%.o,$(PROGRAMS) $(TOOLS))
# What the programs share; an archive too, so that label_image does not link what only retrain needs.
APPS      := $(OUT)/libapps.a

COMMIT  := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
VERSION := 0.1.0

.DEFAULT_GOAL := all
.PHONY: all
all: $(PROGRAMS:%=$(OUT)/%)  ## build build/retrain, build/label_image, build/lab and the tools of the second codelab

$(GEN)/%.pb.cc $(GEN)/%.pb.h: %.proto
	@mkdir -p $(GEN)
	protoc --cpp_out=$(GEN) $<
# Kept: make would remove it as intermediate, and make it and all that includes it again the next time.
.SECONDARY: $(PROTO:%.proto=$(GEN)/%.pb.h) $(PROTO:%.proto=$(GEN)/%.pb.cc)

# Pages' style and script as string literals, for apps/html.cc.
EMBEDDED := $(patsubst %,$(GEN)/%.inc,$(wildcard apps/page.*))
$(EMBEDDED): $(GEN)/%.inc: %
	@mkdir -p $(@D); { printf 'R"embedded('; cat $<; printf ')embedded"\n'; } > $@

# Generated code is not ours to warn about.
$(OBJ)/%.pb.o: $(GEN)/%.pb.cc
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS_ALL) -w -c $< -o $@

# Other compiler flags make other objects: whatever was built with the old ones is built again.
FLAGS = $(CXX) $(CXXFLAGS_ALL) $(WARNINGS) $(LIGHT_$(BUILD)) $(LIGHT_TESTS_FLAGS) $(LIGHT_OTHERS_FLAGS)
$(OBJ)/flags: FORCE
	@mkdir -p $(@D); echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' > $@

$(OBJ)/%.o: %.cc $(OBJ)/flags | $(PROTO:%.proto=$(GEN)/%.pb.h) $(EMBEDDED)
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS_ALL) $(WARNINGS) -c $< -o $@

$(OBJ)/runtime/cuda/%.o: CXXFLAGS_ALL += $(TOOLKIT_INC)
# Stand-ins are found by name, as what they stand in for.
$(OBJ)/tests/support/standin/%.o: CXXFLAGS_ALL += $(TOOLKIT_INC) -fvisibility=default

SIMT_FLAGS := -DCOUPLET_SIMT -include tests/support/simt/simt.h -fno-strict-aliasing -Wno-unknown-pragmas
$(OBJ)/simt/%.o: %.cu $(OBJ)/flags
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS_ALL) $(WARNINGS) $(SIMT_FLAGS) -x c++ -c $< -o $@

# What only parses flags and prints, and the tests' own code, compile in half the time with little optimisation; what
# the tests test, and what carries it in the harness and the stand-ins, keeps its own.
LIGHT := $(OBJ)/apps/% $(filter-out $(SIMT_OBJ) $(SHARED_OBJ) $(OBJ)/tests/support/simt/% $(OBJ)/tests/support/standin/%,$(TEST_OBJ)) \
         $(filter $(OBJ)/tests/support/standin/%_test.o,$(TEST_OBJ))
LIGHT_release := -O1
LIGHT_asan    := -O0
LIGHT_tsan    := -O0
# Under the sanitizers all but what computes: optimising instrumented code takes longer than running it as it is. Not so
# the stand-ins' products and convolutions.
STANDIN_MATH := $(patsubst %,tests/support/standin/%.cc,cudnn_compute cudnn_convolution math product)
ifneq ($(SANITIZED),)
LIGHT += $(OBJ)/loaders/% $(OBJ)/models/% $(patsubst %.cc,$(OBJ)/%.o,$(wildcard runtime/*.cc runtime/cuda/*.cc) $(filter-out $(STANDIN_MATH),$(STANDIN_SRC)))
endif
$(LIGHT): private CXXFLAGS_ALL += $(LIGHT_$(BUILD))
# UBSan looks at what is tested: in the tests' own code it would nearly double the time that takes to compile.
LIGHT_TESTS := $(filter $(OBJ)/tests/%,$(LIGHT))
ifeq ($(BUILD),asan)
LIGHT_TESTS_FLAGS := -fno-sanitize=undefined
$(LIGHT_TESTS) $(STANDIN_MATH:%.cc=$(OBJ)/%.o): private CXXFLAGS_ALL += $(LIGHT_TESTS_FLAGS)
# These three take a quarter of the time to compile. Strangers' bytes are read and cast in loaders/, the CPU's scratch is
# cut up in runtime/cpu/, the kernels pick their vectors in kernels/: there they stay. Elsewhere a null pointer is
# AddressSanitizer's to report.
LIGHT_OTHERS_FLAGS := $(if $(THOROUGH),,-fno-sanitize=null,alignment,vptr)
$(filter $(OBJ)/apps/% $(OBJ)/models/% $(OBJ)/runtime/%,$(LIGHT)): private CXXFLAGS_ALL += $(LIGHT_OTHERS_FLAGS)
endif
# The system's headers that most sources include, parsed once (PCH= parses them anew): with doctest's for the tests; without
# for what is no test, and only where g++ does not warn: of headers parsed before, g++ 12 warns wrongly. Not for the
# stand-ins, whose symbols are seen from outside.
PCH := $(OBJ)/tests/pch.h
ifneq ($(PCH),)
PCH_TESTS  := $(filter-out $(OBJ)/tests/main.o $(OBJ)/tests/support/standin/%,$(filter %_test.o,$(LIGHT)))
PCH_OTHERS := $(if $(SANITIZED),$(filter-out $(PCH_TESTS) $(OBJ)/tests/main.o $(OBJ)/tests/support/standin/%,$(filter %.o,$(LIGHT)) \
                $(filter $(LIGHT),$(LIB_OBJ) $(APP_OBJ) $(PROGRAM_OBJ))))
$(PCH).gch $(OBJ)/pch.h.gch: %.gch: tests/support/pch.h $(OBJ)/flags
	@mkdir -p $(@D); $(if $(filter $(PCH),$*),cat,grep -v doctest) $< > $*
	$(CXX) $(CXXFLAGS_ALL) $(LIGHT_$(BUILD)) $(LIGHT_TESTS_FLAGS) $(WARNINGS) -x c++-header $* -o $@
$(PCH_TESTS): $(PCH).gch
$(PCH_TESTS): private CXXFLAGS_ALL += -include $(PCH)
$(PCH_OTHERS): $(OBJ)/pch.h.gch
$(PCH_OTHERS): private CXXFLAGS_ALL += -include $(OBJ)/pch.h
endif
# The CPU kernels' inner loops at -O1 with UBSan take minutes for one Inception: AddressSanitizer alone, optimised.
ifneq ($(filter asan fuzz,$(BUILD)),)
$(OBJ)/runtime/cpu/gemm_kernel.o $(OBJ)/runtime/cpu/window_kernels.o: private CXXFLAGS_ALL += -O2 -fno-sanitize=undefined
endif
# What a scope leaves behind none of these kernels points to, and watching each vector's takes longer than all else there.
ifeq ($(BUILD),asan)
$(OBJ)/runtime/cpu/gemm_kernel.o $(OBJ)/runtime/cpu/window_kernels.o $(OBJ)/runtime/cpu/head_kernels.o $(OBJ)/runtime/cpu/head_panels.o: private CXXFLAGS_ALL += -fno-sanitize-address-use-after-scope
endif
# g++ takes three times as long over these where it writes each access's check in place of a call. Not so the GEMM, in
# which Inception spends its time: with calls it takes seven times as long.
ifeq ($(BUILD),asan)
$(OBJ)/runtime/cpu/%_kernels.o: CXXFLAGS_ALL += --param asan-instrumentation-with-call-threshold=0
endif
# ThreadSanitizer watches the kernels; the harness under them tells it what a barrier orders.
ifeq ($(BUILD),tsan)
$(OBJ)/tests/support/simt/%.o: CXXFLAGS_ALL += -fno-sanitize=thread -DCOUPLET_TSAN
endif

# The commit is in one object only; the stamp changes when the commit does.
$(OBJ)/apps/version.o: CXXFLAGS_ALL += -DCOUPLET_VERSION='"$(VERSION)"' -DCOUPLET_COMMIT='"$(COMMIT)"'
$(OBJ)/apps/version.o: $(OBJ)/commit
$(OBJ)/commit: FORCE
	@mkdir -p $(@D); echo '$(VERSION) $(COMMIT)' | cmp -s - $@ || echo '$(VERSION) $(COMMIT)' > $@
FORCE:

# CPU= is known to one object; the archive and the programs follow its stamp.
$(OBJ)/runtime/cpu/cpu_backend.o: CXXFLAGS_ALL += -DCOUPLET_ONEDNN=$(if $(ONEDNN),1,0)
$(OBJ)/runtime/cpu/cpu_backend.o: $(OBJ)/cpu
$(OBJ)/cpu: FORCE
	@mkdir -p $(@D); echo '$(CPU)' | cmp -s - $@ || echo '$(CPU)' > $@

# In the file that holds stb_image an index past an array's end is a trap, not a silent write.
$(OBJ)/loaders/image_stb.o: CXXFLAGS_ALL += -fsanitize=bounds -fsanitize-undefined-trap-on-error

# NVCC_CXX: the compiler that an old nvcc wants beside it, where CXX is too new for it (docs/jetson.md).
# nvcc: for this machine's GPU, else 75 and 90; PTX of the highest, for devices to come. C++14, as older toolkits speak.
NVCC := $(if $(filter 0,$(CUDA)),,$(shell command -v nvcc 2>/dev/null || ls $(CUDA_HOME)/bin/nvcc /usr/local/cuda/bin/nvcc 2>/dev/null | head -n 1))
ifneq ($(NVCC),)
KNOWN_ARCHS := $(patsubst compute_%,%,$(shell $(NVCC) --list-gpu-arch 2>/dev/null))
GPU_ARCHS   := $(sort $(subst .,,$(shell nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null)))
USED_ARCHS  := $(if $(filter all,$(ARCHS)),$(filter 75 80 86 87 89 90 100 110 120,$(KNOWN_ARCHS)),$(or $(ARCHS),$(GPU_ARCHS),75 90))
GENCODE     := $(foreach arch,$(USED_ARCHS),-gencode arch=compute_$(arch),code=sm_$(arch)) \
               -gencode arch=compute_$(lastword $(USED_ARCHS)),code=compute_$(lastword $(USED_ARCHS))
# HARDENING is CXX's own; the older g++ that NVCC_CXX names knows no -mbranch-protection before version 9.
# --fmad=false as -ffp-contract=off: what the harness proves about bits holds on the device.
NVCCFLAGS   := $(if $(NVCC_CXX),-ccbin $(NVCC_CXX) )-std=c++14 -O3 --fmad=false -lineinfo -I. $(GENCODE) -Werror all-warnings -Xptxas -v,-warn-spills \
               -Xcompiler -fPIC,-Wall,-Wextra,-Werror $(patsubst %,-Xcompiler %,$(filter-out $(if $(NVCC_CXX),-mbranch-protection=%),$(HARDENING_$(BUILD))))
$(OBJ)/kernels/flags: FORCE
	@mkdir -p $(@D); echo '$(NVCC) $(NVCCFLAGS)' | cmp -s - $@ || echo '$(NVCC) $(NVCCFLAGS)' > $@
	@$(NVCC) --version | sed -n 's/.*\(V[0-9.]*\)$$/nvcc \1/p' > $(@D)/toolkit
# What ptxas says of registers and spills stays beside the object.
$(OBJ)/kernels/%.cu.o: kernels/%.cu $(OBJ)/kernels/flags
	@mkdir -p $(@D)
	$(NVCC) $(NVCCFLAGS) -MMD -MP -MF $(@:.o=.d) -c $< -o $@ > $(@:.o=.ptxas) 2>&1 || { cat $(@:.o=.ptxas); rm -f $@; exit 1; }
endif
.PHONY: kernels
kernels: $(if $(NVCC),$(KERNEL_OBJ))  ## compile the CUDA kernels (ARCHS="75 90", ARCHS=all)
.PHONY: check-cxx14 kernel-resources
check-cxx14: kernels  ## kernels are C++14: nvcc compiles them so, and their headers stand alone
	@for header in $$(grep -L 'COUPLET_SIMT\|kernels/device.h' kernels/*.h); do \
	  $(CXX) -std=c++14 -Wall -Wextra -Wpedantic -Werror -I. -x c++ -fsyntax-only -include $$header /dev/null || exit 1; done
	@echo '$(words $(KERNEL_SRC)) kernels and their headers are C++14'
kernel-resources: kernels  ## keep the kernels' registers and shared memory as tests/golden/kernel_resources.tsv
	sh tests/kernel_resources.sh list $(OBJ)/kernels > tests/golden/kernel_resources.tsv

# The kernels' tests once more, through real launches; needs a GPU to run.
GPU_TEST_OBJ := $(patsubst %.cc,$(OBJ)/%.o,tests/main.cc tests/support/test.cc tests/support/cuda/device_memory.cc \
                  $(shell grep -l 'TEST_CASE."kernel ' tests/kernels/*_test.cc))
$(OUT)/tests/gpu_tests: $(GPU_TEST_OBJ) $(KERNEL_OBJ) $(LIBRARY)
	@mkdir -p $(@D)
	$(NVCC) $^ $(LIBS) -o $@
# The kernels alone, timed; linked by nvcc, which knows where its runtime is.
KERNEL_BENCH_OBJ := $(patsubst %.cc,$(OBJ)/%.o,$(sort $(wildcard tests/bench/kernels/*.cc)) tests/support/cuda/device_memory.cc)
$(KERNEL_BENCH_OBJ): CXXFLAGS_ALL += $(TOOLKIT_INC)
$(OUT)/tests/kernel_bench: $(KERNEL_BENCH_OBJ) $(KERNEL_OBJ)
	@mkdir -p $(@D)
	$(NVCC) $^ -lfmt -o $@
.PHONY: kernel-bench
kernel-bench: $(OUT)/tests/kernel_bench  ## time the CUDA kernels, each beside its floor (needs a GPU; BATCH=32, KERNEL=)
	$(OUT)/tests/kernel_bench $(or $(BATCH),32) $(KERNEL)

# The CUDA engine: an object of its own, which the programs open when a device is asked for. It needs nvcc, the headers
# and the libraries; these are named in full, because pip's packages have libcudnn.so.9 and no libcudnn.so.
CUDA_LIBDIRS := $(foreach home,$(patsubst %/include/,%,$(dir $(CUDNN_HEADERS) $(CUDA_HEADERS))),$(addprefix $(home)/,\
                lib64 lib targets/x86_64-linux/lib targets/aarch64-linux/lib lib/x86_64-linux-gnu lib/aarch64-linux-gnu))
find_library = $(firstword $(wildcard $(patsubst %,%/lib$(1).so,$(CUDA_LIBDIRS)) $(patsubst %,%/lib$(1).so.*,$(CUDA_LIBDIRS))))
CUDA_NAMES := cudart cudnn cublas cublasLt
CUDA_LIBS  := $(if $(CUDNN_HEADERS),$(foreach name,$(CUDA_NAMES),$(call find_library,$(name))))
CUDA_LACKS := $(strip $(if $(NVCC),,nvcc) $(if $(CUDA_HEADERS),,cuda_runtime_api.h) $(if $(CUDNN_HEADERS),,cudnn.h) \
                      $(foreach name,$(CUDA_NAMES),$(if $(filter %/lib$(name).so %/lib$(name).so.%,$(CUDA_LIBS)),,lib$(name))))
ifeq ($(CUDA),1)
$(if $(CUDA_LACKS),$(error CUDA=1: not found: $(CUDA_LACKS); set CUDA_HOME and CUDNN_HOME, or build the CPU engine alone with CUDA=0))
endif
# Not under the sanitizers: there the tests run the same sources against stand-ins.
ENGINE := $(if $(filter 0,$(CUDA))$(CUDA_LACKS)$(filter asan tsan,$(BUILD)),,$(OUT)/libcouplet_cuda.so)
ifneq ($(ENGINE),)
ENGINE_SRC := $(sort $(wildcard runtime/cuda/*.cc) $(addprefix runtime/,backend.cc graph.cc image_batch.cc layer_check.cc shape.cc tuning.cc))
ENGINE_OBJ := $(ENGINE_SRC:%.cc=$(OBJ)/%.o)
all: $(ENGINE)
$(ENGINE): runtime/cuda/exports.map $(ENGINE_OBJ) $(KERNEL_OBJ)
	$(CXX) $(LDFLAGS_ALL) -shared -Wl,--no-undefined -Wl,--version-script=$< $(filter %.o,$^) $(CUDA_LIBS) -lfmt -ldl -o $@
endif

$(APPS): $(APP_OBJ)
$(LIBRARY): $(LIB_OBJ)
$(APPS) $(LIBRARY):
	@rm -f $@
	ar rcs $@ $^

$(patsubst %,$(OUT)/%,$(PROGRAMS) $(TOOLS)): $(OUT)/%: $(OBJ)/apps/%.o $(APPS) $(LIBRARY)
	$(CXX) $(LDFLAGS_ALL) $(filter %.o,$^) $(APPS) $(LIBRARY) $(LIBS) -o $@

# Of an inline function the first object's is kept: the sources' own, which UBSan sees, before the tests'.
$(OUT)/tests/couplet_tests: $(LIB_OBJ) $(APP_OBJ) $(TEST_OBJ)
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS_ALL) $^ $(TEST_LIBS) -o $@

# The CUDA engine for machines without a GPU: the very sources, against the stand-ins and the kernels as the harness runs
# them; beside it the programs, which find it there, and a driver for them to find.
STANDIN := $(OUT)/tests/standin
STANDIN_OBJ := $(patsubst %.cc,$(OBJ)/%.o,$(filter-out %/device_memory.cc,$(sort $(wildcard runtime/*.cc runtime/cuda/*.cc \
                 tests/support/simt/*.cc))) $(filter-out %_test.cc,$(STANDIN_SRC))) $(SIMT_OBJ)
$(STANDIN)/libcouplet_cuda.so: $(STANDIN_OBJ)
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS_ALL) -shared -Wl,-Bsymbolic,-z,defs $^ -lfmt -o $@
$(STANDIN)/libcuda.so.1: $(OBJ)/tests/support/standin/libcuda.o
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS_ALL) -shared -Wl,-soname,libcuda.so.1 $^ -o $@
$(PROGRAMS:%=$(STANDIN)/%): $(STANDIN)/%: $(OUT)/%
	@mkdir -p $(@D)
	ln -f $< $@

# A management library for what watches the device.
NVML := $(OUT)/tests/nvml/libnvidia-ml.so.1
$(NVML): $(OBJ)/tests/support/nvml/nvml.o
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS_ALL) -shared -Wl,-soname,libnvidia-ml.so.1 $^ -o $@

# They follow their sources in a make of their own, and what is linked with them follows them.
.PHONY: shared-tests test-objects
$(SHARED_OBJ): shared-tests
	@:
shared-tests:
	@$(MAKE) --no-print-directory BUILD=release test-objects
test-objects: $(filter %_test.o,$(TEST_OBJ))

.PHONY: tests test
# Not under ThreadSanitizer: the stand-ins hold one lock, behind which nothing races.
tests: $(if $(STANDIN_SRC),$(if $(filter tsan,$(BUILD)),,$(STANDIN)/libcouplet_cuda.so $(STANDIN)/libcuda.so.1 $(PROGRAMS:%=$(STANDIN)/%)))
tests: $(if $(THREADS_ONLY),,all $(TOOLS:%=$(OUT)/%)) $(OUT)/tests/couplet_tests $(NVML) $(if $(SANITIZED),,$(OUT)/tests/libfaults.so)  ## build the tests
# Preloaded into the programs to disturb them; nothing is preloaded beside a sanitizer.
$(OBJ)/tests/support/faults/shim.o: CXXFLAGS_ALL += -fno-builtin -U_FORTIFY_SOURCE
$(OUT)/tests/libfaults.so: $(OBJ)/tests/support/faults/shim.o
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS_ALL) -shared -Wl,-z,defs $^ -ldl -lsqlite3 -o $@
test:  ## install what is missing, build, run every test
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory tests
	$(OUT)/tests/couplet_tests --jobs=$$(nproc)

# The fuzzers: one program under the name of every target.
FUZZ_OBJ := $(patsubst %.cc,$(OBJ)/%.o,$(FUZZ_TARGETS_SRC) $(addprefix tests/support/,hostile_graphs.cc image_files.cc make_archive.cc))
$(OUT)/fuzzers: $(OBJ)/tests/fuzz/driver.o $(FUZZ_OBJ) $(APPS) $(LIBRARY)
	$(CXX) $(LDFLAGS_ALL) -fsanitize=fuzzer $^ $(TEST_LIBS) -o $@
$(OUT)/fuzz_starts: $(OBJ)/tests/fuzz/starts.o $(FUZZ_OBJ) $(APPS) $(LIBRARY)
	$(CXX) $(LDFLAGS_ALL) $^ $(TEST_LIBS) -o $@
.PHONY: fuzz
fuzz:  ## feed damaged files to every reader under clang's sanitizers (SECONDS=60 each, TARGET=png, JOBS=1)
	@$(MAKE) --no-print-directory deps DEPS='clang libclang-rt-dev'
	@$(MAKE) --no-print-directory BUILD=fuzz CUDA=0 CXX=clang++ WARNINGS= PCH= build/fuzz/fuzzers build/fuzz/fuzz_starts
	JOBS=$(or $(JOBS),1) sh tests/fuzz/run.sh build/fuzz $(or $(SECONDS),60) $(TARGET)

BENCH_OBJ := $(patsubst %,$(OBJ)/tests/bench/%.o,bench compare machine timing)
$(OUT)/tests/bench: $(BENCH_OBJ) $(LIBRARY)
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS_ALL) $^ $(LIBS) -o $@
$(OUT)/tests/layer_bench: $(patsubst %.cc,$(OBJ)/%.o,tests/bench/layers.cc tests/bench/one_layer.cc tests/bench/timing.cc tests/support/model_layers.cc) $(LIBRARY)
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS_ALL) $^ $(LIBS) -o $@
.PHONY: bench layer-bench
layer-bench: $(OUT)/tests/layer_bench  ## time every convolution of the networks, beside oneDNN's with CPU=onednn (SIMD=AVX2)
	$(OUT)/tests/layer_bench 6 "$${COUPLET_DATA:-../shared}" $(SIMD)
bench: all $(OUT)/tests/bench  ## time ourselves, each row beside its floor (needs ../shared or COUPLET_DATA; COMPARE=OLD.json)
	@mkdir -p $(OUT)/bench
	$(OUT)/tests/bench "$${COUPLET_DATA:-../shared}" $(OUT)/label_image $(OUT)/bench $(OUT)/bench.json $(if $(COMPARE),--compare '$(COMPARE)')

# Ourselves beside TensorFlow, Keras, ONNX Runtime and OpenVINO, in a Python environment of their own under build/.
PEERS_PYTHON ?= build/peers-venv/bin/python
build/peers-venv/bin/python:
	$(call venv,build/peers-venv,tensorflow-cpu tensorboard onnxruntime openvino onnx matplotlib)
$(OUT)/tests/ours: $(OBJ)/tests/bench/peers/ours.o $(patsubst %,$(OBJ)/tests/%.o,gpu/material bench/timing support/graph_generator support/graph_pieces support/inception_generator) $(LIBRARY)
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS_ALL) $^ $(LIBS) -o $@
.PHONY: bench-peers
bench-peers: all $(OUT)/tests/ours $(PEERS_PYTHON)  ## us beside TensorFlow, Keras, ONNX Runtime, OpenVINO (fetches them; ROWS=a,b ROUNDS=5 GROWTH=1000000 KEEP=1)
	COUPLET_BUILD=$(OUT) PYTHONDONTWRITEBYTECODE=1 $(PEERS_PYTHON) tests/bench/peers/peers.py --commit=$(COMMIT) \
	  $(if $(ROWS),--rows=$(ROWS)) $(if $(ROUNDS),--rounds=$(ROUNDS)) $(if $(filter-out 0,$(KEEP)),--keep)

# Instructions a stage, counted by valgrind's callgrind, which runs no instruction set beyond AVX2.
INSTRUCTIONS := $(OUT)/tests/instructions
$(INSTRUCTIONS): $(patsubst %,$(OBJ)/tests/%.o,bench/instructions bench/one_layer bench/timing gpu/material support/graph_generator support/graph_pieces \
                   support/inception_generator support/model_layers support/pictures) $(LIBRARY)
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS_ALL) $^ $(LIBS) -o $@
.PHONY: check-instructions keep-instructions
check-instructions keep-instructions:
	@$(MAKE) --no-print-directory deps DEPS=valgrind
	@$(MAKE) --no-print-directory $(INSTRUCTIONS)
	@sh tests/check_instructions.sh $(@:-instructions=) $(INSTRUCTIONS) || [ $$? = 77 ]
check-instructions:  ## count instructions of every stage of our code: at most 3 % from those in tests/golden (valgrind)
keep-instructions:  ## keep them, as golden of this compiler and these libraries

.PHONY: deps
deps:  ## install the packages a build needs; asks dpkg, and does nothing when all is there
	@sh .ci/install-packages $(DEPS)

.PHONY: demo flowers tensorboard
STAMPS := /usr/share/tuxpaint/stamps
demo:  ## retrain the graph in weights/ on pictures from Debian and show what it learnt
	@$(MAKE) --no-print-directory deps
	@[ -d $(STAMPS) ] || echo 'demo: the pictures come with $(DEMO_DEPS): 161 MB to download, 218 MB on the disk'
	@$(MAKE) --no-print-directory deps DEPS='$(DEMO_DEPS)'
	@$(MAKE) --no-print-directory all
	@sh apps/demo.sh $(OUT)

flowers:  ## the codelab itself in tf_files/: downloads 3,670 flowers and mobilenet_0.50_224 (COUPLET_MIRROR=)
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all $(OUT)/fetch
	$(OUT)/fetch flower_photos tf_files
	$(OUT)/fetch mobilenet_0.50_224 tf_files/models
	$(OUT)/retrain --bottleneck_dir=tf_files/bottlenecks --how_many_training_steps=500 --model_dir=tf_files/models/ \
	  --summaries_dir=tf_files/training_summaries/mobilenet_0.50_224 --output_graph=tf_files/retrained_graph.pb \
	  --output_labels=tf_files/retrained_labels.txt --architecture=mobilenet_0.50_224 --image_dir=tf_files/flower_photos
	@echo 'Next: $(OUT)/label_image --graph=tf_files/retrained_graph.pb' \
	  '--image=tf_files/flower_photos/daisy/21652746_cc379e0eea_m.jpg'

# Debian's pip installs nothing outside an environment.
TENSORBOARD := build/tensorboard-venv/bin/tensorboard
$(TENSORBOARD):
	@$(MAKE) --no-print-directory deps DEPS='$(TENSORBOARD_DEPS)'
	$(call venv,build/tensorboard-venv,tensorboard)
tensorboard: $(TENSORBOARD)  ## fetch TensorBoard into build/ and print how to start it
	@echo 'Now: $(TENSORBOARD) --logdir tf_files/training_summaries     and open http://localhost:6006 (port taken: --port 6007)'

.PHONY: check-includes check-mutations check-fresh check-all deps-check
CHECK_DEPS := debootstrap python3-venv valgrind chromium
deps-check:  ## install what make check-all needs beyond a build
	@$(MAKE) --no-print-directory deps DEPS='$(CHECK_DEPS)'
check-includes:  ## apps -> models -> loaders -> runtime -> kernels, never back
	@sh tests/check_includes.sh

.PHONY: check-static check-hardening sbom
# Objects too: a program has the processor's mark only where the C library's own start files have it.
check-hardening: all $(TOOLS:%=$(OUT)/%)  ## every program, object and the engine carry what a release is built with (HARDENING in the Makefile)
	@sh tests/check_hardening.sh $(patsubst %,$(OUT)/%,$(PROGRAMS) $(TOOLS)) $(ENGINE) $(patsubst %,$(OBJ)/apps/%.o,$(PROGRAMS) $(TOOLS)) \
	  $(LIB_OBJ) $(APP_OBJ) $(if $(ENGINE),$(ENGINE_OBJ) $(KERNEL_OBJ))
# clang 14 cannot read CUDA 13's headers, so what needs them is cppcheck's alone.
STATIC_SRC := $(filter-out runtime/cuda/%,$(LIB_SRC)) $(APP_SRC) $(PROGRAMS:%=apps/%.cc) $(TOOLS:%=apps/%.cc)
check-static: $(PROTO:%.proto=$(GEN)/%.pb.h) $(EMBEDDED)  ## clang-tidy and cppcheck find nothing but what .clang-tidy and tests/cppcheck.supp give a reason for
	@$(MAKE) --no-print-directory deps DEPS='clang-tidy cppcheck'
	@CXX="$(CXX)" GEN=$(GEN) sh tests/check_static.sh $(OUT)/static $(or $(JOBS),$$(nproc)) '-std=c++20 -I. -I$(GEN) -DCOUPLET_ONEDNN=1 -DCOUPLET_VERSION="" -DCOUPLET_COMMIT=""' $(or $(FILES),$(STATIC_SRC))
sbom: all  ## what the programs are linked with, as SPDX JSON in build/sbom.spdx.json
	python3 .ci/sbom.py $(VERSION) $(COMMIT) $(PROGRAMS:%=$(OUT)/%) $(ENGINE) > $(OUT)/sbom.spdx.json.part
	mv $(OUT)/sbom.spdx.json.part $(OUT)/sbom.spdx.json
# The harness's programs: one kernel apiece, with whatever else the tests' support needs.
MUTANT_ARCHIVE := $(OUT)/mutants/support.a
$(MUTANT_ARCHIVE): $(filter-out %_test.o $(OBJ)/tests/main.o,$(TEST_OBJ))
	@mkdir -p $(@D); rm -f $@
	ar rcs $@ $^
check-mutations: $(MUTANT_ARCHIVE) $(APPS) $(LIBRARY) $(filter $(OBJ)/tests/kernels/%,$(TEST_OBJ)) $(OBJ)/tests/main.o  ## seed faults into the kernels: the tests must see each (KERNEL=)
	@MUTANTS_DIR=$(OUT)/mutants TESTS_DIR=$(OBJ)/tests/kernels KERNEL='$(KERNEL)' JOBS=$$(nproc) \
	  COMPILE='$(CXX) $(filter-out -O3 -I. -MMD -MP,$(CXXFLAGS_ALL)) -O1 -w $(SIMT_FLAGS) -x c++' \
	  LINK_FRONT='$(CXX) $(LDFLAGS_ALL) $(OBJ)/tests/main.o' LINK='$(MUTANT_ARCHIVE) $(APPS) $(LIBRARY) $(TEST_LIBS)' \
	  sh tests/check_mutations.sh
check-fresh:  ## both lines of the README on bare Debian 12 and 13 (root; SUITES=, MIRROR=)
	@sh tests/check_fresh.sh $(SUITES)
check-all: deps-check  ## .ci/run, full ASan, UBSan and TSan, mutations, every arch, CUDA=0, static checks, fuzzing, the oracle, the default backbone, fresh systems: hours
	.ci/run
	$(MAKE) BUILD=asan THOROUGH=1 tests
	build/asan/tests/couplet_tests --jobs=$$(nproc)
	$(MAKE) BUILD=tsan THOROUGH=1 tests
	TSAN_OPTIONS='suppressions=tests/tsan.supp' build/tsan/tests/couplet_tests
	COUPLET_WHOLE=1 build/tests/couplet_tests -tc='programs: the codelab*'
	$(MAKE) check-mutations
	$(MAKE) check-instructions
	$(MAKE) OUT=build/archs ARCHS=all CUDA=1 all
	$(MAKE) OUT=build/nocuda CUDA=0 PCH= all build/nocuda/tests/couplet_tests
	$(MAKE) OUT=build/onednn CPU=onednn CUDA=0 deps
	$(MAKE) OUT=build/onednn CPU=onednn CUDA=0 build/onednn/tests/couplet_tests
	build/onednn/tests/couplet_tests --jobs=$$(nproc) -tc='cpu*,session*,golden*'
	$(MAKE) check-faults
	$(MAKE) check-hardening
	$(MAKE) check-static
	$(MAKE) fuzz SECONDS=60
	$(MAKE) oracle
	$(MAKE) check-tensorboard
	$(MAKE) judge-default JUDGE_FLAGS=--readme=
	$(MAKE) check-arm64
	$(MAKE) check-jetson
	$(MAKE) check-fresh

# Python is for developers' checks and for making the default backbone, in environments of their own under build/.
# ORACLE_PYTHON=, TRAIN_PYTHON= and JUDGE_PYTHON= name one that is there already.
.PHONY: oracle train-default judge-default
ORACLE_PYTHON ?= build/oracle-venv/bin/python
TRAIN_PYTHON  ?= build/train-venv/bin/python
JUDGE_PYTHON  ?= build/judge-venv/bin/python
define venv
python3 -m venv $(1) || { echo 'cannot make a Python environment: apt-get install python3-venv'; rm -rf $(1); exit 1; }
$(1)/bin/pip install --quiet $(2) || { rm -rf $(1); exit 1; }
endef
build/oracle-venv/bin/python:
	$(call venv,build/oracle-venv,tensorflow-cpu tensorboard pillow)
build/train-venv/bin/python:
	$(call venv,build/train-venv,torch numpy pillow)
build/judge-venv/bin/python:
	$(call venv,build/judge-venv,numpy pillow)

.PHONY: screenshots
screenshots: all  ## make the pictures in docs/ anew, from the demo's pictures (needs chromium)
	@sh docs/screenshots.sh $(OUT)
.PHONY: check-tensorboard
check-tensorboard: all $(ORACLE_PYTHON)  ## retrain's events as TensorBoard serves them, held against --json (fetches it)
	COUPLET_BUILD=$(OUT) PYTHONDONTWRITEBYTECODE=1 $(ORACLE_PYTHON) tests/oracle/check_tensorboard.py
$(OUT)/tests/dump: $(OBJ)/tests/oracle/dump.o $(OBJ)/tests/support/network.o $(LIBRARY)
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS_ALL) $^ $(LIBS) -o $@

oracle: all $(OUT)/tests/dump $(ORACLE_PYTHON)  ## our numbers beside TensorFlow's, layer by layer (fetches it)
	COUPLET_BUILD=$(OUT) PYTHONDONTWRITEBYTECODE=1 $(ORACLE_PYTHON) tests/oracle/oracle.py $(ORACLE)
# The pictures of the judgement first: what looks like one of them is kept out of the training.
train-default: $(TRAIN_PYTHON)  ## train weights/*.pb from random weights (fetches PyTorch; minutes on a GPU, hours without; TRAIN_FLAGS=)
	@$(MAKE) --no-print-directory deps DEPS='$(JUDGE_DEPS)'
	PYTHONDONTWRITEBYTECODE=1 $(TRAIN_PYTHON) weights/judge_default.py --pictures_only
	PYTHONDONTWRITEBYTECODE=1 nice -n 19 $(TRAIN_PYTHON) weights/train_default.py $(TRAIN_FLAGS)
judge-default: $(JUDGE_PYTHON)  ## retrain on five tasks with weights/*.pb, Google's graph and random weights; table in weights/README.md (JUDGE_FLAGS=)
	@$(MAKE) --no-print-directory deps DEPS='$(JUDGE_DEPS)'
	@$(MAKE) --no-print-directory all
	PYTHONDONTWRITEBYTECODE=1 $(JUDGE_PYTHON) weights/judge_default.py --programs=$(OUT) --commit=$(COMMIT) $(JUDGE_FLAGS)

.PHONY: reliability-report check-faults soak
soak: tests  ## random commands with random faults, held to clean runs; memory and descriptors flat (MINUTES=30, SEED=1)
	PYTHONDONTWRITEBYTECODE=1 python3 tests/reliability/soak.py --minutes=$(or $(MINUTES),30) --seed=$(or $(SEED),1) --build=$(OUT)
check-faults: tests  ## signals, kills, power cuts, failing calls, hostile surroundings: all of it, counted (an hour)
	COUPLET_WHOLE=1 $(OUT)/tests/couplet_tests --jobs=$$(nproc) -tc='resume*,faults*,store: a byte*,hostile*'
reliability-report:  ## gather what the reliability targets counted into docs/reliability.md
	@PYTHONDONTWRITEBYTECODE=1 python3 tests/reliability/reliability.py report

.PHONY: devices
devices: all  ## what there is to compute with: processor, GPUs, driver, libraries, and which GPU will be used
	@$(OUT)/retrain --list_devices

.PHONY: install uninstall
comma := ,
BINDIR := $(DESTDIR)$(PREFIX)/bin
LIBDIR := $(DESTDIR)$(PREFIX)/lib/couplet
DATADIR := $(DESTDIR)$(PREFIX)/share/couplet
DOCDIR := $(DESTDIR)$(PREFIX)/share/doc/couplet
OWN_FILES := $(wildcard weights/*.pb) weights/imagenet_labels.txt weights/MODEL_CARD.md
install: all  ## copy the programs to PREFIX/bin (PREFIX=, DESTDIR=)
	install -d $(BINDIR) $(DATADIR) $(DOCDIR)
	install $(PROGRAMS:%=$(OUT)/%) $(BINDIR)
	$(if $(ENGINE),install -d $(LIBDIR) && install -m 644 $(ENGINE) $(LIBDIR))
	install -m 644 $(OWN_FILES) $(DATADIR)
	install -m 644 LICENSE README.md $(DOCDIR)
uninstall:  ## remove what install copied
	rm -f $(PROGRAMS:%=$(BINDIR)/%) $(LIBDIR)/libcouplet_cuda.so $(OWN_FILES:weights/%=$(DATADIR)/%) $(DOCDIR)/LICENSE $(DOCDIR)/README.md
	-@rmdir $(DATADIR) $(DOCDIR) $(LIBDIR) 2>/dev/null || true

.PHONY: help print-config
help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'Knobs: CPU=$(CPU) CUDA=$(CUDA) ARCHS=$(ARCHS) BUILD=$(BUILD) PREFIX=$(PREFIX)'

print-config:  ## every decision taken: compiler, CUDA, SIMD, library versions
	@echo 'version     $(VERSION), commit $(COMMIT)'
	@echo "compiler    $(CXX): $$($(CXX) --version 2>/dev/null | head -n 1 || true)"
	@echo 'build       $(BUILD) in $(OUT): $(OPT_$(BUILD))'
	@echo 'CPU         $(CPU): $(if $(ONEDNN),oneDNN,own kernels)'
	@echo 'CUDA        $(CUDA): $(if $(filter 0,$(CUDA)),not looked for,$(if $(NVCC),$(NVCC)$(shell \
	  $(NVCC) --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/ (\1)/p'),no nvcc))'
	@echo 'CUDA engine $(if $(ENGINE),$(ENGINE) with $(CUDA_LIBS),not built$(if $(filter-out 0,$(CUDA)),$(if $(CUDA_LACKS),; not found: $(CUDA_LACKS))))'
	@echo 'arch list   $(if $(ENGINE),$(USED_ARCHS) and PTX,none$(comma) as no CUDA code is built)'
	@echo "SIMD        $$(sed -n 's/^\(flags\|Features\)[^:]*: *//p;' /proc/cpuinfo | head -n 1 | tr ' ' '\n' | \
	  grep -xE 'sse4_2|avx|avx2|fma|f16c|avx512(f|bw|vl|dq|_vnni|_bf16)|avx_vnni|amx_tile|asimd|asimddp|sve' | tr '\n' ' ')"
	@echo 'processors  $(shell nproc)'
	@echo 'prefix      $(PREFIX)'
	@for package in $(DEPS); do \
	  printf 'library     %-24s %s\n' $$package \
	    "$$(dpkg-query -W -f '$${Version}' $$package 2>/dev/null || echo 'not installed')"; done

.PHONY: clean
clean:  ## remove build/
	rm -rf build

include tests/gpu/gpu.mk
include tests/boards/boards.mk

-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)

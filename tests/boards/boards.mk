# What is proven for boards without a board: arm64 in an emulator, the kernels as the boards' compilers see them, the
# calls that old toolkits have. Included by the Makefile. Texts and tables: docs/jetson.md.
ARM64 := build/arm64
ARM64_CXX ?= aarch64-linux-gnu-g++
ARM64_SYSROOT := $(ARM64)/sysroot
ARM64_EMULATOR ?= qemu-aarch64-static
ARM64_TOOLS := g++-aarch64-linux-gnu qemu-user-static protobuf-compiler
# Libraries that are linked or run there; what the Makefile calls stays this machine's.
ARM64_DEPS := libc6-dev libstdc++-12-dev $(filter %-dev,$(filter-out libdnnl-dev,$(DEPS)))
# NVCC=: the CUDA engine's own code is compiled and tested against the stand-ins, but no kernels for a GPU.
ARM64_MAKE := $(MAKE) --no-print-directory OUT=$(ARM64) NVCC= CPU=own BUILD=release \
              CXX='$(ARM64_CXX) --sysroot=$(ARM64_SYSROOT)'

.PHONY: deps-arm64 arm64 check-arm64
deps-arm64:  ## a cross compiler and an emulator from the distribution, arm64's libraries unpacked under build/arm64
	@sh .ci/install-packages $(ARM64_TOOLS)
	@sh .ci/arm64-sysroot $(ARM64_SYSROOT) $(ARM64_DEPS)
arm64: deps-arm64  ## build build/arm64/retrain and label_image for arm64, with our own kernels (NEON)
	@$(ARM64_MAKE) all
# Beside it the same kernels on this machine: oneDNN's add in another order.
check-arm64: deps-arm64  ## the whole suite and the codelab's command on arm64 in an emulator (an hour or more; TESTS=)
	@$(ARM64_MAKE) tests
	@$(MAKE) --no-print-directory OUT=build/own NVCC= CPU=own BUILD=release all
	@sh tests/boards/check_arm64.sh $(ARM64) $(ARM64_EMULATOR) build/own "$${COUPLET_DATA:-../shared}" $(TESTS)

# The part of it that every run of the tests has, where deps-arm64 was made.
ifneq ($(filter release,$(BUILD)),)
ifneq ($(and $(filter build,$(OUT)),$(wildcard $(ARM64_SYSROOT)/packages),$(shell command -v $(firstword $(ARM64_CXX))),$(shell command -v $(ARM64_EMULATOR))),)
tests: $(ARM64)/tests/layer_bits
LAYER_BITS_SRC := $(filter-out runtime/cuda_loader.cc runtime/cpu/onednn.cc,$(wildcard runtime/*.cc runtime/cpu/*.cc)) tests/boards/layer_bits.cc
$(ARM64)/tests/layer_bits: $(LAYER_BITS_SRC) $(wildcard runtime/*.h runtime/cpu/*.h)
	@mkdir -p $(@D)
	$(ARM64_CXX) --sysroot=$(ARM64_SYSROOT) -std=c++20 -pthread -ffp-contract=off -O2 -I. $(WARNINGS) -DCOUPLET_ONEDNN=0 \
	  -DCOUPLET_LAYER_BITS_MAIN $(LAYER_BITS_SRC) -lhwy -lfmt -ldl -o $@
endif
endif

.PHONY: deps-jetson check-jetson check-api board-report
JETSON := build/jetson
JETSON_NVCC := $(JETSON)/cuda-11.8/usr/lib/nvidia-cuda-toolkit/bin/nvcc
deps-jetson:  ## CUDA 11.8's compiler from Debian's non-free archive, unpacked under build/jetson (860 MB to download)
	@sh .ci/install-packages g++-11
	@sh .ci/jetson-toolkit $(JETSON)/cuda-11.8 $(MIRROR)
check-jetson: deps-jetson check-api  ## every kernel for Nano, TX2, Xavier (CUDA 11.8), Orin and Thor (CUDA 13): docs/jetson_kernels.md
	@$(if $(NVCC),,echo 'check-jetson: Orin and Thor need CUDA 13: no nvcc was found; set CUDA_HOME' >&2; exit 3)
	@python3 tests/boards/jetson.py $(JETSON)/kernels $(JETSON_NVCC) $(NVCC) $(COMMIT) $$(date -u +%F)
check-api:  ## what we use of CUDA, cuDNN and cuBLAS, held to what JetPack 4.6, 5, 6 and 7 have
	@python3 tests/boards/api_subset.py . $(wildcard $(ENGINE))
board-report: tests  ## on a board, or any machine: versions, tests and timings in one text file, build/board-report.txt
	@sh tests/boards/report.sh $(OUT)

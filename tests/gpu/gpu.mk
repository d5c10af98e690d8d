# What proves and times the CUDA engine on a GPU. Included by the Makefile.
# gpu-check runs from a checkout; gpu-bundle packs the same for a machine without compilers, packages or network.
GPU_DATA ?= ../shared
GPU_COMMON := $(patsubst %,$(OBJ)/tests/%.o,gpu/material bench/timing support/graph_generator support/graph_pieces support/inception_generator)
$(OUT)/tests/gpu_bench: $(OBJ)/tests/gpu/bench.o
$(OUT)/tests/gpu_compare: $(OBJ)/tests/gpu/compare.o
$(OUT)/tests/gpu_bench $(OUT)/tests/gpu_compare: $(GPU_COMMON) $(LIBRARY)
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS_ALL) $(filter %.o,$^) $(LIBRARY) $(LIBS) -o $@

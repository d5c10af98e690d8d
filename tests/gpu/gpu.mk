# What proves and times the CUDA engine on a GPU. Included by the Makefile, which says where nvcc and the engine are and
# how gpu_tests is made: the kernels' tests through real launches.
GPU_COMMON := $(patsubst %,$(OBJ)/tests/%.o,gpu/material bench/timing support/graph_generator support/graph_pieces support/inception_generator)
$(OUT)/tests/gpu_bench: $(OBJ)/tests/gpu/bench.o
$(OUT)/tests/gpu_compare: $(OBJ)/tests/gpu/compare.o
$(OUT)/tests/gpu_bench $(OUT)/tests/gpu_compare: $(GPU_COMMON) $(LIBRARY)
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS_ALL) $(filter %.o,$^) $(LIBRARY) $(LIBS) -o $@

.PHONY: gpu-programs gpu-check gpu-bench gpu-bundle profile tune
gpu-programs: all $(if $(ENGINE),$(patsubst %,$(OUT)/tests/%,gpu_tests gpu_compare gpu_bench kernel_bench))
	@$(if $(ENGINE),,echo 'built without CUDA: make print-config says what is missing'; exit 3)
gpu-check: gpu-programs  ## prove and time the CUDA engine on this machine's GPU: one page in build/gpu-check
	@sh tests/gpu/check.sh
gpu-bench: gpu-programs  ## the timings of gpu-check alone
	$(OUT)/tests/gpu_bench --photos="$${COUPLET_DATA:-../shared}/data/flower_photos" --label_image=$(OUT)/label_image \
	  --temp=$(OUT)/bench --json=$(OUT)/gpu_bench.json
gpu-bundle: gpu-programs  ## pack gpu-check for a machine without compilers, packages or network (needs ../shared or COUPLET_DATA)
	@sh tests/gpu/bundle.sh $(OUT) "$${COUPLET_DATA:-../shared}"
profile: all  ## where the time of a cold retrain goes, by nsys where it is found (DEVICE=cpu|cuda|auto)
	@sh tests/gpu/profile.sh $(OUT) "$${COUPLET_DATA:-../shared}/data/flower_photos" $(or $(DEVICE),auto)
tune: all $(OUT)/tune  ## time the ways to do each layer on this GPU, print the race, keep the winners (MODEL=FILE.pb)
	$(OUT)/tune --model_file=$(or $(MODEL),weights/couplet_mobilenet_v1_0.25_128.pb)

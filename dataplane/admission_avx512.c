/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/limiter_lanes_avx512.h"

#define SW_LANES_OF(name) sw_lanes_##name##_avx512
#define SW_LANES_KEYS struct sw_lanes_keys512
#define SW_LANES_FIND struct sw_lanes_find512
#define SW_LANES_LOOK struct sw_lanes_look512
#define SW_LANES_NEXT __m256i
#define SW_TARGET SW_AVX512
#define SW_TARGET_KEYS SW_AVX512_VAES
#include "admission_loops.h"

const struct sw_admission_loops sw_admission_loops_avx512 = {prepare_run, place_syns, admit_syns};

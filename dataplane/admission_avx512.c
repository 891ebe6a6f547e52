/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/limiter_lanes_avx512.h"

#define SW_LANES_OF(name) sw_lanes_##name##_avx512
#define SW_LANES_NEXT __m256i
#define SW_TARGET SW_AVX512
#define SW_TARGET_KEYS SW_AVX512_VAES
#include "admission_loops.h"

const struct sw_admission_loops sw_admission_loops_avx512 = {prepare_burst, admit_syns};

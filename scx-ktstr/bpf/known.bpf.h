/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Values that nobody changes: whoever reads the maps of a scheduler from outside can see that he reads right. Those in maps are set by
 * src/known.rs.
 */
#pragma once
#include "kernel.bpf.h"

#define KNOWN_USED static volatile __attribute__((used))

enum known_color {
	KNOWN_RED = 1,
	KNOWN_BLUE = 7,
};

/* In the layout of src/known.rs. */
struct known {
	u64 large;
	s32 negative;
	enum known_color color;
	struct {
		u32 deep[3];
	} inner;
	u32 low_bits : 3;
	u32 high_bits : 29;
	char name[8];
};

KNOWN_USED u64 known_data = 0x0123456789abcdefULL;
KNOWN_USED const u64 known_rodata = 0xfedcba9876543210ULL;

struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_UINT(max_entries, 8);
	MAP_TYPE(key, u64);
	MAP_TYPE(value, struct known);
} ktstr_known SEC(".maps");

/* Of each CPU a thousand and its number. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_UINT(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u64);
} ktstr_known_cpu SEC(".maps");

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the schedulers use of the kernel, declared by hand: only the members that they touch, which libbpf finds by name in
 * the BTF of the kernel that runs. Nothing here depends on a version: what differs between kernels is a weak symbol that
 * is there or not.
 */
#pragma once

typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;
#define bool _Bool
#define true 1
#define false 0

#define SEC(name) __attribute__((section(name), used))
#define KSYM __attribute__((section(".ksyms"), weak))
#define FOUND_BY_NAME __attribute__((preserve_access_index))

/* Maps, in the notation that libbpf reads. */
#define MAP_UINT(name, value) int (*name)[value]
#define MAP_TYPE(name, type) type *name
#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_TASK_STORAGE 29
#define BPF_F_NO_PREALLOC 1
#define BPF_LOCAL_STORAGE_GET_F_CREATE 1

/* Helpers by number: enum bpf_func_id of the kernel's user interface. */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;
static long (*const bpf_probe_read_kernel_str)(void *to, u32 size, const void *from) = (void *)115;
static void *(*const bpf_task_storage_get)(void *map, void *task, void *value, u64 flags) = (void *)156;

/* Dispatch queues and flags, as in enum scx_dsq_id_flags and enum scx_kick_flags. */
#define SCX_DSQ_LOCAL (1ULL << 63 | 2)
#define SCX_DSQ_LOCAL_ON (1ULL << 63 | 1ULL << 62)
#define SCX_KICK_IDLE 1
/* enum scx_wake_flags. */
#define SCX_WAKE_SYNC (1ULL << 4)
#define SCX_KICK_WAIT 4

#define PF_KTHREAD 0x00200000

/* Never looked into; to be only declared is another kind of type, which libbpf does not take for the kernel's. */
struct cpumask {
} FOUND_BY_NAME;

struct kernfs_node {
	const char *name;
} FOUND_BY_NAME;

struct cgroup {
	struct kernfs_node *kn;
} FOUND_BY_NAME;

struct css_set {
	struct cgroup *dfl_cgrp;
} FOUND_BY_NAME;

struct sched_ext_entity {
	u32 weight;
} FOUND_BY_NAME;

struct task_struct {
	u32 flags;
	s32 pid;
	s32 tgid;
	char comm[16];
	s32 nr_cpus_allowed;
	const struct cpumask *cpus_ptr;
	struct css_set *cgroups;
	struct sched_ext_entity scx;
} FOUND_BY_NAME;

enum scx_exit_kind {
	SCX_EXIT_NONE,
};

struct scx_exit_info {
	enum scx_exit_kind kind;
	s64 exit_code;
	const char *reason;
	char *msg;
	char *dump;
} FOUND_BY_NAME;

struct scx_init_task_args;
struct scx_exit_task_args;

/*
 * The members that are set here, in an order of our own: libbpf copies each to its place in the kernel's. The numbers come
 * first because the loader sets them: see src/object.rs.
 */
struct sched_ext_ops {
	u32 timeout_ms;
	u32 exit_dump_len;
	s32 (*select_cpu)(struct task_struct *p, s32 prev_cpu, u64 wake_flags);
	void (*enqueue)(struct task_struct *p, u64 enq_flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	void (*running)(struct task_struct *p);
	void (*stopping)(struct task_struct *p, bool runnable);
	void (*quiescent)(struct task_struct *p, u64 deq_flags);
	void (*enable)(struct task_struct *p);
	s32 (*init_task)(struct task_struct *p, struct scx_init_task_args *args);
	void (*exit_task)(struct task_struct *p, struct scx_exit_task_args *args);
	s32 (*init)(void);
	void (*exit)(struct scx_exit_info *info);
	char name[128];
};

struct scx_bpf_dsq_insert_vtime_args {
	u64 dsq_id;
	u64 slice;
	u64 vtime;
	u64 enq_flags;
};

/* Counts from start to end; the verifier looks at the body of such a loop once, and not at every round. */
struct bpf_iter_num {
	u64 opaque;
};

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) KSYM;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) KSYM;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) KSYM;

extern bool bpf_cpumask_test_cpu(u32 cpu, const struct cpumask *mask) KSYM;
extern s32 scx_bpf_create_dsq(u64 dsq, s32 node) KSYM;
extern s32 scx_bpf_dsq_nr_queued(u64 dsq) KSYM;
extern void scx_bpf_error_bstr(char *format, u64 *data, u32 data__sz) KSYM;
extern void scx_bpf_kick_cpu(s32 cpu, u64 flags) KSYM;
extern s32 scx_bpf_pick_idle_cpu(const struct cpumask *allowed, u64 flags) KSYM;
extern s32 scx_bpf_select_cpu_dfl(struct task_struct *p, s32 prev_cpu, u64 wake_flags, bool *is_idle) KSYM;
extern s32 scx_bpf_task_cpu(const struct task_struct *p) KSYM;

/* Newest name first. libbpf drops what follows the last three underscores. */
extern bool scx_bpf_dsq_insert___v2___new(struct task_struct *p, u64 dsq, u64 slice, u64 enq_flags) KSYM;
extern void scx_bpf_dsq_insert(struct task_struct *p, u64 dsq, u64 slice, u64 enq_flags) KSYM;
extern void scx_bpf_dispatch(struct task_struct *p, u64 dsq, u64 slice, u64 enq_flags) KSYM;

extern bool __scx_bpf_dsq_insert_vtime(struct task_struct *p, struct scx_bpf_dsq_insert_vtime_args *args) KSYM;
extern void scx_bpf_dsq_insert_vtime(struct task_struct *p, u64 dsq, u64 slice, u64 vtime, u64 enq_flags) KSYM;
extern void scx_bpf_dispatch_vtime(struct task_struct *p, u64 dsq, u64 slice, u64 vtime, u64 enq_flags) KSYM;

extern bool scx_bpf_dsq_move_to_local___v2___new(u64 dsq, u64 enq_flags) KSYM;
extern bool scx_bpf_dsq_move_to_local(u64 dsq) KSYM;
extern bool scx_bpf_consume(u64 dsq) KSYM;

static inline void insert(struct task_struct *p, u64 dsq, u64 slice, u64 enq_flags)
{
	if (scx_bpf_dsq_insert___v2___new)
		scx_bpf_dsq_insert___v2___new(p, dsq, slice, enq_flags);
	else if (scx_bpf_dsq_insert)
		scx_bpf_dsq_insert(p, dsq, slice, enq_flags);
	else
		scx_bpf_dispatch(p, dsq, slice, enq_flags);
}

static inline void insert_vtime(struct task_struct *p, u64 dsq, u64 slice, u64 vtime, u64 enq_flags)
{
	struct scx_bpf_dsq_insert_vtime_args args = {
		.dsq_id = dsq,
		.slice = slice,
		.vtime = vtime,
		.enq_flags = enq_flags,
	};

	if (__scx_bpf_dsq_insert_vtime)
		__scx_bpf_dsq_insert_vtime(p, &args);
	else if (scx_bpf_dsq_insert_vtime)
		scx_bpf_dsq_insert_vtime(p, dsq, slice, vtime, enq_flags);
	else
		scx_bpf_dispatch_vtime(p, dsq, slice, vtime, enq_flags);
}

static inline bool move_to_local(u64 dsq)
{
	if (scx_bpf_dsq_move_to_local___v2___new)
		return scx_bpf_dsq_move_to_local___v2___new(dsq, 0);
	if (scx_bpf_dsq_move_to_local)
		return scx_bpf_dsq_move_to_local(dsq);
	return scx_bpf_consume(dsq);
}

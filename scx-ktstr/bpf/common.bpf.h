/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What all schedulers here share: the knobs by which user space steers them while they run, the faults, and what is kept
 * for user space when the kernel takes a scheduler out.
 */
#pragma once
#include "kernel.bpf.h"
#include "known.bpf.h"

/* A CPU number or a number of queues beyond these is not looked at. */
#define CPUS_MAX 1024
#define LLCS_MAX 64

/* Above the numbers of LLCs. */
#define STARVED_DSQ 1000
#define ONE_CPU_DSQ 1001
#define MSEC_NS 1000000ULL
#define STARVED_SERVED_NS (1000 * MSEC_NS)

/* In the order of src/control.rs. Zero is off. */
enum knob {
	KNOB_SLICE_NS,
	KNOB_CPUS,
	KNOB_LLCS,
	KNOB_STEAL,
	KNOB_LOADER,
	KNOB_DROP,
	KNOB_ERROR,
	KNOB_NOT_ALLOWED,
	KNOB_NO_KICK,
	KNOB_STARVE,
	KNOB_INVERT,
	KNOB_WRAP,
	KNOB_KICK_WAIT,
	KNOB_STARVE_KTHREADS,
	KNOB_COUNT_TWICE,
	KNOB_ONE_CPU,
	KNOBS,
};

enum counter {
	COUNTER_DISPATCHES,
	COUNTER_EXITED,
	COUNTERS,
};

struct target {
	char name[16];
};

/* What the kernel says when it takes the scheduler out; texts end with a zero byte. In the layout of src/exit.rs. */
struct exit_record {
	s64 kind;
	s64 exit_code;
	char reason[128];
	char message[1024];
	char dump[32768];
};

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(max_entries, KNOBS);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u64);
} ktstr_control SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct target);
} ktstr_target SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(max_entries, COUNTERS);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u64);
} ktstr_counters SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct exit_record);
} ktstr_exit SEC(".maps");

/* The task that drop and wrap aim at: the first that fits. */
static volatile s32 victim;
static volatile u64 starved_served_at;

static inline u64 knob(u32 which)
{
	u64 *value = bpf_map_lookup_elem(&ktstr_control, &which);

	return value ? *value : 0;
}

/* A knob that is a number of things; a number that is too large for what is kept of them is cut. */
static inline int number(u32 which, u64 most)
{
	u64 value = knob(which);

	return value < most ? value : most;
}

static inline void count(u32 which)
{
	u64 *value = bpf_map_lookup_elem(&ktstr_counters, &which);

	if (value)
		__sync_fetch_and_add(value, 1);
}

static inline u64 counted(u32 which)
{
	u64 *value = bpf_map_lookup_elem(&ktstr_counters, &which);

	return value ? *value : 0;
}

/* Whether a text of 16 bytes starts with the target's name; every text does if there is no target. */
static inline bool is_target(const char *text)
{
	u32 zero = 0;
	struct target *target = bpf_map_lookup_elem(&ktstr_target, &zero);

	if (!target)
		return false;
	for (int i = 0; i < (int)sizeof(target->name); i++) {
		if (!target->name[i])
			return true;
		if (target->name[i] != text[i])
			return false;
	}
	return true;
}

/* Kernel threads, init and the loader are spared: the machine and the loader's report are needed. */
static inline bool is_victim(struct task_struct *p)
{
	if (!victim && !(p->flags & PF_KTHREAD) && p->tgid != 1 && (u64)p->tgid != knob(KNOB_LOADER)) {
		char comm[16] = {};

		bpf_probe_read_kernel_str(comm, sizeof(comm), p->comm);
		if (is_target(comm))
			victim = p->pid;
	}
	return victim == p->pid;
}

/* Whether the task is directly in a cgroup with the target's name. */
static inline bool is_starved(struct task_struct *p)
{
	char name[16] = {};

	if (p->flags & PF_KTHREAD)
		return false;
	bpf_probe_read_kernel_str(name, sizeof(name), p->cgroups->dfl_cgrp->kn->name);
	return is_target(name);
}

/* Whether the task is the kernel's own, bound to one CPU, and its name starts with the target's. */
static inline bool is_starved_kthread(struct task_struct *p)
{
	char comm[16] = {};

	if (!(p->flags & PF_KTHREAD) || p->nr_cpus_allowed != 1)
		return false;
	bpf_probe_read_kernel_str(comm, sizeof(comm), p->comm);
	return is_target(comm);
}

/* Whether the task is a user's and its name starts with the target's. */
static inline bool is_for_one_cpu(struct task_struct *p)
{
	char comm[16] = {};

	if (p->flags & PF_KTHREAD)
		return false;
	bpf_probe_read_kernel_str(comm, sizeof(comm), p->comm);
	return is_target(comm);
}

/* The first CPU on which the task may not run; negative if it may run on all. */
static inline s32 cpu_not_allowed(struct task_struct *p)
{
	struct bpf_iter_num cpus;
	s32 found = -1;
	int *cpu;

	bpf_iter_num_new(&cpus, 0, number(KNOB_CPUS, CPUS_MAX));
	while (found < 0 && (cpu = bpf_iter_num_next(&cpus)))
		if (!bpf_cpumask_test_cpu(*cpu, p->cpus_ptr))
			found = *cpu;
	bpf_iter_num_destroy(&cpus);
	return found;
}

/* A CPU for a task that wakes up; with a fault on, the task always goes through the queue. */
static inline s32 select_cpu(struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	bool is_idle = false;
	s32 cpu;

	if (knob(KNOB_NO_KICK) || knob(KNOB_DROP) || knob(KNOB_NOT_ALLOWED) || knob(KNOB_STARVE) ||
	    knob(KNOB_STARVE_KTHREADS) || knob(KNOB_ONE_CPU))
		return prev_cpu;
	/*
	 * Whoever wakes another one and sleeps at once would get the CPU of the waker for it, as an idle one: two such tasks hand a CPU to
	 * each other past the queue, for ever (seen on 6.16).
	 */
	cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags & ~SCX_WAKE_SYNC, &is_idle);
	if (is_idle) {
		count(COUNTER_DISPATCHES);
		insert(p, SCX_DSQ_LOCAL, knob(KNOB_SLICE_NS), 0);
	}
	return cpu;
}

/* Whether a fault has dealt with a task that is to be queued. */
static inline bool enqueued_by_fault(struct task_struct *p, u64 enq_flags)
{
	if (knob(KNOB_DROP) && is_victim(p))
		return true;
	if ((knob(KNOB_STARVE) && is_starved(p)) || (knob(KNOB_STARVE_KTHREADS) && is_starved_kthread(p))) {
		insert(p, STARVED_DSQ, knob(KNOB_SLICE_NS), enq_flags);
		return true;
	}
	if (knob(KNOB_ONE_CPU) && is_for_one_cpu(p)) {
		insert(p, ONE_CPU_DSQ, knob(KNOB_SLICE_NS), enq_flags);
		return true;
	}
	/*
	 * Not the kernel's own: a thread of a CPU that the kernel puts into its global queue for this, while it throws the scheduler out, can
	 * keep the RCU grace period from ending for which that waits (seen on 6.19).
	 */
	if (knob(KNOB_NOT_ALLOWED) && !(p->flags & PF_KTHREAD)) {
		s32 cpu = cpu_not_allowed(p);

		if (cpu >= 0) {
			insert(p, SCX_DSQ_LOCAL_ON | (u64)cpu, knob(KNOB_SLICE_NS), enq_flags);
			return true;
		}
	}
	return false;
}

/*
 * Each CPU waits until the next one has been through its scheduler. When all do so at once each waits for the next; kernels before
 * 7.0 wait with interrupts off, so that this is for ever.
 */
static inline void kick_next_and_wait(void)
{
	u32 cpus = number(KNOB_CPUS, CPUS_MAX), cpu = bpf_get_smp_processor_id();

	if (cpus > 1)
		scx_bpf_kick_cpu((cpu + 1) % cpus, SCX_KICK_WAIT);
}

/* Wakes a CPU that could take the task that was just queued. */
static inline void kick_idle(struct task_struct *p)
{
	s32 cpu;

	if (knob(KNOB_NO_KICK))
		return;
	if (knob(KNOB_KICK_WAIT)) {
		kick_next_and_wait();
		return;
	}
	cpu = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
	if (cpu >= 0)
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
}

/* Whether a fault has found a task for this CPU, or has ended the scheduler. */
static inline bool dispatched_by_fault(void)
{
	u64 after = knob(KNOB_ERROR);
	u64 period = knob(KNOB_STARVE) ? STARVED_SERVED_NS : knob(KNOB_STARVE_KTHREADS) * MSEC_NS, now;
	bool moved;

	if (after && counted(COUNTER_DISPATCHES) >= after) {
		static char format[] = "ktstr: error on purpose after %llu dispatches";
		u64 data[] = { after };

		scx_bpf_error_bstr(format, data, sizeof(data));
		return true;
	}
	if (!bpf_get_smp_processor_id() && move_to_local(ONE_CPU_DSQ))
		return true;
	now = bpf_ktime_get_ns();
	if (now - starved_served_at < period)
		return false;
	/* Also what was left there when the knob was turned off. */
	moved = move_to_local(STARVED_DSQ);
	/* Kernel threads are bound to CPUs, and another CPU that has looked has taken none. */
	if (moved || knob(KNOB_STARVE))
		starved_served_at = now;
	return moved;
}

static inline s32 create_fault_dsqs(void)
{
	s32 error = scx_bpf_create_dsq(STARVED_DSQ, -1);

	return error ? error : scx_bpf_create_dsq(ONE_CPU_DSQ, -1);
}

static inline void forget_victim(struct task_struct *p)
{
	if (victim == p->pid)
		victim = 0;
}

static inline void record_exit(struct scx_exit_info *info)
{
	u32 zero = 0;
	struct exit_record *record = bpf_map_lookup_elem(&ktstr_exit, &zero);

	if (!record)
		return;
	bpf_probe_read_kernel_str(record->reason, sizeof(record->reason), info->reason);
	bpf_probe_read_kernel_str(record->message, sizeof(record->message), info->msg);
	bpf_probe_read_kernel_str(record->dump, sizeof(record->dump), info->dump);
	record->exit_code = info->exit_code;
	record->kind = info->kind;
	count(COUNTER_EXITED);
}

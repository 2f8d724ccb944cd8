/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A queue for each last-level cache, ordered by virtual time: what a task has run, divided by its weight. With stealing a CPU
 * helps the longest queue when it is two tasks longer than its own, so that no CPU idles and the queues stay even. Weights hold among
 * the tasks of an LLC; that the queues are even by number, not by weight, is the price of not looking at other LLCs' tasks.
 */
#include "common.bpf.h"

char _license[] SEC("license") = "GPL";

#define WEIGHT_DEFAULT 100

/*
 * At most this is charged at once. A task that has a CPU for itself is not stopped between slices: for all the time that nobody
 * else wanted it would pay when others come. The kernel's own slice, which it gives to such a task.
 */
#define CHARGED_NS_MAX 20000000ULL

struct task_ctx {
	/* In the virtual time of the LLC. */
	u64 vtime;
	u64 started_at;
	u32 llc;
	/* Whether it is counted in nr_queued. */
	bool queued;
};

/* Tasks in the queues of all LLCs. */
static volatile s64 nr_queued;
/* The largest that a task was queued with. */
static volatile u64 vtime_max;

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(max_entries, CPUS_MAX);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u32);
} ktstr_cpu_llc SEC(".maps");

/* The virtual time of each LLC: that of the task which is furthest. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(max_entries, LLCS_MAX);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u64);
} ktstr_llc_vtime SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_TASK_STORAGE);
	MAP_UINT(map_flags, BPF_F_NO_PREALLOC);
	MAP_TYPE(key, int);
	MAP_TYPE(value, struct task_ctx);
} ktstr_tasks SEC(".maps");

/* The kernel compares times in queues in the same way. */
static inline bool is_before(u64 a, u64 b)
{
	return (s64)(a - b) < 0;
}

static inline u32 llc_of(s32 cpu)
{
	u32 key = cpu;
	u32 *llc = bpf_map_lookup_elem(&ktstr_cpu_llc, &key);

	return llc ? *llc : 0;
}

static inline u64 llc_vtime(u32 llc)
{
	u64 *vtime = bpf_map_lookup_elem(&ktstr_llc_vtime, &llc);

	return vtime ? *vtime : 0;
}

static inline struct task_ctx *ctx_of(struct task_struct *p)
{
	return bpf_task_storage_get(&ktstr_tasks, p, 0, 0);
}

/* A task that moves takes its distance from the LLC's time along. */
static inline void move_to_llc(struct task_ctx *task, u32 llc)
{
	if (task->llc == llc)
		return;
	task->vtime += llc_vtime(llc) - llc_vtime(task->llc);
	task->llc = llc;
}

/* A task that has been taken out of its queue by the kernel comes back to be queued, and is counted already. */
static inline void count_queued(struct task_ctx *task)
{
	if (task->queued)
		return;
	task->queued = true;
	__sync_fetch_and_add(&nr_queued, knob(KNOB_COUNT_TWICE) ? 2 : 1);
}

static inline void count_taken(struct task_ctx *task)
{
	if (!task->queued)
		return;
	task->queued = false;
	__sync_fetch_and_add(&nr_queued, -1);
}

SEC("struct_ops/select_cpu")
int ktstr_select_cpu(u64 *ctx)
{
	return select_cpu((struct task_struct *)ctx[0], (s32)ctx[1], ctx[2]);
}

SEC("struct_ops/enqueue")
int ktstr_enqueue(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];
	u64 enq_flags = ctx[1], slice = knob(KNOB_SLICE_NS), earliest;
	struct task_ctx *task = ctx_of(p);

	if (!task || enqueued_by_fault(p, enq_flags))
		return 0;
	move_to_llc(task, llc_of(scx_bpf_task_cpu(p)));
	/* Who has slept saves up no more than one slice; and no time is before zero, so that a strange one is seen from outside. */
	earliest = llc_vtime(task->llc);
	earliest -= earliest < slice ? earliest : slice;
	if (is_before(task->vtime, earliest))
		task->vtime = earliest;
	count_queued(task);
	if (vtime_max < task->vtime)
		vtime_max = task->vtime;
	insert_vtime(p, task->llc, slice, task->vtime, enq_flags);
	kick_idle(p);
	return 0;
}

/* The longest queue that is at least two tasks longer than the own one; the own one if there is none. */
static inline u32 longest_queue(u32 own)
{
	s32 most = scx_bpf_dsq_nr_queued(own) + 1;
	struct bpf_iter_num llcs;
	u32 found = own;
	int *llc;

	bpf_iter_num_new(&llcs, 0, number(KNOB_LLCS, LLCS_MAX));
	while ((llc = bpf_iter_num_next(&llcs))) {
		s32 queued = scx_bpf_dsq_nr_queued(*llc);

		if (queued > most) {
			most = queued;
			found = *llc;
		}
	}
	bpf_iter_num_destroy(&llcs);
	return found;
}

/* A task from any queue: the longest one may have none that is allowed on this CPU. */
static inline bool steal(u32 own)
{
	struct bpf_iter_num llcs;
	bool stolen = false;
	int *llc;

	bpf_iter_num_new(&llcs, 0, number(KNOB_LLCS, LLCS_MAX));
	while (!stolen && (llc = bpf_iter_num_next(&llcs)))
		stolen = (u32)*llc != own && move_to_local(*llc);
	bpf_iter_num_destroy(&llcs);
	return stolen;
}

static inline bool dispatch(u32 own)
{
	bool may_steal = knob(KNOB_STEAL);

	if (may_steal) {
		u32 longest = longest_queue(own);

		if (longest != own && move_to_local(longest))
			return true;
	}
	return move_to_local(own) || (may_steal && steal(own));
}

SEC("struct_ops/dispatch")
int ktstr_dispatch(u64 *ctx)
{
	if (!dispatched_by_fault() && dispatch(llc_of((s32)ctx[0])))
		count(COUNTER_DISPATCHES);
	return 0;
}

SEC("struct_ops/running")
int ktstr_running(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];
	struct task_ctx *task = ctx_of(p);
	u64 *now;

	if (!task)
		return 0;
	count_taken(task);
	task->started_at = bpf_ktime_get_ns();
	/* One task is to be far from the others, and not the others from it. */
	if (knob(KNOB_WRAP) && is_victim(p))
		return 0;
	now = bpf_map_lookup_elem(&ktstr_llc_vtime, &task->llc);
	if (now && is_before(*now, task->vtime))
		*now = task->vtime;
	return 0;
}

SEC("struct_ops/stopping")
int ktstr_stopping(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];
	struct task_ctx *task = ctx_of(p);
	u64 ran, weight = p->scx.weight;

	if (!task)
		return 0;
	ran = bpf_ktime_get_ns() - task->started_at;
	if (knob(KNOB_WRAP) && is_victim(p)) {
		/* A difference taken the wrong way round: the task is put half of all time ahead. */
		task->vtime += -ran >> 1;
		return 0;
	}
	if (ran > CHARGED_NS_MAX)
		ran = CHARGED_NS_MAX;
	if (knob(KNOB_INVERT))
		task->vtime += ran * weight / WEIGHT_DEFAULT;
	else
		task->vtime += ran * WEIGHT_DEFAULT / (weight ? weight : 1);
	return 0;
}

SEC("struct_ops/quiescent")
int ktstr_quiescent(u64 *ctx)
{
	struct task_ctx *task = ctx_of((struct task_struct *)ctx[0]);

	if (task)
		count_taken(task);
	return 0;
}

SEC("struct_ops/enable")
int ktstr_enable(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];
	struct task_ctx *task = ctx_of(p);

	if (!task)
		return 0;
	task->llc = llc_of(scx_bpf_task_cpu(p));
	task->vtime = llc_vtime(task->llc);
	return 0;
}

SEC("struct_ops/init_task")
int ktstr_init_task(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];

	return bpf_task_storage_get(&ktstr_tasks, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE) ? 0 : -12;
}

SEC("struct_ops/exit_task")
int ktstr_exit_task(u64 *ctx)
{
	forget_victim((struct task_struct *)ctx[0]);
	return 0;
}

SEC("struct_ops.s/init")
int ktstr_init(u64 *ctx)
{
	s32 error = create_fault_dsqs();
	struct bpf_iter_num llcs;
	int *llc;

	bpf_iter_num_new(&llcs, 0, number(KNOB_LLCS, LLCS_MAX));
	while (!error && (llc = bpf_iter_num_next(&llcs)))
		error = scx_bpf_create_dsq(*llc, -1);
	bpf_iter_num_destroy(&llcs);
	return error;
}

SEC("struct_ops/exit")
int ktstr_exit_op(u64 *ctx)
{
	record_exit((struct scx_exit_info *)ctx[0]);
	return 0;
}

SEC(".struct_ops.link")
struct sched_ext_ops ktstr_llc = {
	.select_cpu = (void *)ktstr_select_cpu,
	.enqueue = (void *)ktstr_enqueue,
	.dispatch = (void *)ktstr_dispatch,
	.running = (void *)ktstr_running,
	.stopping = (void *)ktstr_stopping,
	.quiescent = (void *)ktstr_quiescent,
	.enable = (void *)ktstr_enable,
	.init_task = (void *)ktstr_init_task,
	.exit_task = (void *)ktstr_exit_task,
	.init = (void *)ktstr_init,
	.exit = (void *)ktstr_exit_op,
	.name = "ktstr_llc",
};

/* SPDX-License-Identifier: GPL-2.0-only */
/* One queue for all CPUs, first in, first out. */
#include "common.bpf.h"

char _license[] SEC("license") = "GPL";

#define FIFO_DSQ 0

SEC("struct_ops/select_cpu")
int ktstr_select_cpu(u64 *ctx)
{
	return select_cpu((struct task_struct *)ctx[0], (s32)ctx[1], ctx[2]);
}

SEC("struct_ops/enqueue")
int ktstr_enqueue(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];
	u64 enq_flags = ctx[1];

	if (enqueued_by_fault(p, enq_flags))
		return 0;
	insert(p, FIFO_DSQ, knob(KNOB_SLICE_NS), enq_flags);
	kick_idle(p);
	return 0;
}

SEC("struct_ops/dispatch")
int ktstr_dispatch(u64 *ctx)
{
	if (!dispatched_by_fault() && move_to_local(FIFO_DSQ))
		count(COUNTER_DISPATCHES);
	return 0;
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
	s32 error = scx_bpf_create_dsq(FIFO_DSQ, -1);

	return error ? error : create_fault_dsqs();
}

SEC("struct_ops/exit")
int ktstr_exit_op(u64 *ctx)
{
	record_exit((struct scx_exit_info *)ctx[0]);
	return 0;
}

SEC(".struct_ops.link")
struct sched_ext_ops ktstr_fifo = {
	.select_cpu = (void *)ktstr_select_cpu,
	.enqueue = (void *)ktstr_enqueue,
	.dispatch = (void *)ktstr_dispatch,
	.exit_task = (void *)ktstr_exit_task,
	.init = (void *)ktstr_init,
	.exit = (void *)ktstr_exit_op,
	.name = "ktstr_fifo",
};

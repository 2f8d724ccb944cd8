/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A scheduler that the verifier refuses: a loop looks at each of the first eight knobs, and the index that it leaves behind is
 * used without a look at its bounds. The log has the loop eight times before the line that decides.
 */
#include "common.bpf.h"

char _license[] SEC("license") = "GPL";

static volatile u64 weights[8];

SEC("struct_ops/enqueue")
int ktstr_enqueue(u64 *ctx)
{
	u64 index = 0;

#pragma clang loop unroll(disable)
	for (u32 which = 0; which < 8; which++)
		index += knob(which);
	insert((struct task_struct *)ctx[0], 0, weights[index], ctx[1]);
	return 0;
}

SEC("struct_ops/exit")
int ktstr_exit_op(u64 *ctx)
{
	record_exit((struct scx_exit_info *)ctx[0]);
	return 0;
}

SEC(".struct_ops.link")
struct sched_ext_ops ktstr_verifier = {
	.enqueue = (void *)ktstr_enqueue,
	.exit = (void *)ktstr_exit_op,
	.name = "ktstr_verifier",
};

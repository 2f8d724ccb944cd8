/* SPDX-License-Identifier: GPL-2.0-only */
/* One queue for all CPUs, first in, first out, with a slice of 2 ms. What it does not implement, the kernel does by default. */

typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define KSYM __attribute__((section(".ksyms")))
#define FOUND_BY_NAME __attribute__((preserve_access_index))

/* As in enum scx_dsq_id_flags: the queue that the kernel looks into when a CPU has nothing of its own. */
#define SCX_DSQ_GLOBAL (1ULL << 63 | 1)
#define SLICE_NS 2000000ULL

/* Declared by hand: libbpf finds types and members by name in the kernel that runs. */
struct task_struct {
	int pid;
} FOUND_BY_NAME;

struct sched_ext_ops {
	void (*enqueue)(struct task_struct *p, u64 enq_flags);
	char name[128];
};

extern void scx_bpf_dsq_insert(struct task_struct *p, u64 dsq_id, u64 slice, u64 enq_flags) KSYM;

char _license[] SEC("license") = "GPL";

SEC("struct_ops/enqueue")
int tiny_enqueue(u64 *ctx)
{
	scx_bpf_dsq_insert((struct task_struct *)ctx[0], SCX_DSQ_GLOBAL, SLICE_NS, ctx[1]);
	return 0;
}

SEC(".struct_ops.link")
struct sched_ext_ops tiny = {
	.enqueue = (void *)tiny_enqueue,
	.name = "tiny",
};

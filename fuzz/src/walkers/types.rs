//! The types of a kernel that has everything which is read.

use ktstr_testing::BtfWriter;

/// Types by name, with structs made of them: members are `name type offset`, offsets in bytes.
struct Types {
    btf: BtfWriter,
    known: Vec<(&'static str, u32)>,
}

impl Types {
    fn of(&self, name: &str) -> u32 {
        let known = self.known.iter().find(|(known, _)| *known == name);
        known.unwrap_or_else(|| panic!("no type {name}")).1
    }

    fn add(&mut self, name: &'static str, bytes: u32, members: &str) {
        let members: Vec<(&str, u32, u32, u32)> = members
            .split(',')
            .map(|member| {
                let words: Vec<&str> = member.split_whitespace().collect();
                let number = |index: usize| words.get(index).and_then(|word| word.parse::<u32>().ok());
                // Of bit fields: how many bits, and at which one they begin.
                let (width, bit) = (number(3).unwrap_or(0), number(4).unwrap_or(0));
                (words[0], self.of(words[1]), number(2).expect("an offset") * 8 + bit, width)
            })
            .collect();
        let id = self.btf.structure(name, bytes, &members);
        self.known.push((name, id));
    }
}

/// Names, bytes and members of all structs, in the order in which they need each other.
const STRUCTS: [(&str, u32, &str); 43] = [
    ("list_head", 16, "next ptr 0, prev ptr 8"),
    ("thread_info", 8, "cpu int 0"),
    ("thread_struct", 8, "sp u64 0"),
    ("sched_info", 24, "run_delay u64 0, pcount u64 8, last_queued u64 16"),
    ("sched_entity", 16, "sum_exec_runtime u64 0, cfs_rq ptr 8"),
    ("cfs_rq", 16, "h_nr_queued int 0, h_nr_runnable int 4, throttle_count int 8"),
    ("scx_dsq_list_node", 24, "node list_head 0, flags int 16"),
    ("sched_ext_entity", 64, "dsq ptr 0, dsq_list scx_dsq_list_node 8, flags int 32, weight int 36, runnable_at u64 40, slice u64 48, dsq_vtime u64 56"),
    ("task_struct", 232, "thread_info thread_info 0, __state int 8, flags int 12, on_cpu int 16, on_rq int 20, policy int 24, pid int 28, tgid int 32, static_prio int 36, cpus_mask u64 40, tasks list_head 48, thread_node list_head 64, signal ptr 80, comm text 88, sched_info sched_info 104, se sched_entity 128, jobctl u64 144, frozen int 152, scx sched_ext_entity 160, thread thread_struct 224"),
    ("signal_struct", 24, "thread_head list_head 8"),
    ("rhash_head", 8, "next ptr 0"),
    ("scx_dispatch_q", 40, "list list_head 0, nr int 16, id u64 24, hash_node rhash_head 32"),
    ("scx_rq", 48, "nr_running int 0, flags int 4, local_dsq scx_dispatch_q 8"),
    ("sched_domain", 40, "parent ptr 0, name ptr 8, flags int 16, balance_interval int 20, nr_balance_failed int 24, last_balance u64 32"),
    ("rq", 120, "sd ptr 112, nr_running int 0, clock u64 8, curr ptr 16, idle ptr 24, cfs cfs_rq 32, rq_sched_info sched_info 40, scx scx_rq 64"),
    ("rhashtable", 8, "tbl ptr 0"),
    ("atomic_t", 4, "counter int 0"),
    ("scx_sched", 32, "pcpu ptr 0, pnode ptr 8, dsq_hash rhashtable 16, exit_kind atomic_t 24"),
    ("scx_event_stats", 16, "SCX_EV_A s64 0, SCX_EV_B s64 8"),
    ("scx_sched_pcpu", 24, "event_stats scx_event_stats 8"),
    ("scx_sched_pnode", 48, "global_dsq scx_dispatch_q 8"),
    ("bucket_table", 16, "size int 0, nest int 4, future_tbl ptr 8, buckets ptrs 16"),
    ("xarray", 8, "xa_head ptr 0"),
    ("idr", 8, "idr_rt xarray 0"),
    ("xa_node", 520, "shift u8 0, slots slots 8"),
    ("bpf_map", 48, "id int 0, map_type int 4, key_size int 8, value_size int 12, max_entries int 16, btf_value_type_id int 20, btf ptr 24, name text 32"),
    ("bpf_array", 56, "elem_size int 48, value ptrs 56, pptrs ptrs 56"),
    ("bucket", 16, "head ptr 0"),
    ("bpf_htab", 64, "buckets ptr 48, n_buckets int 56"),
    ("htab_elem", 16, "key ptrs 16"),
    ("btf", 24, "data ptr 0, data_size int 8, base_btf ptr 16"),
    ("seqcount", 4, "sequence int 0"),
    ("seqcount_latch_t", 4, "seqcount seqcount 0"),
    ("tk_read_base", 48, "clock ptr 0, mask u64 8, cycle_last u64 16, mult int 24, shift int 28, xtime_nsec u64 32, base u64 40"),
    ("clocksource", 8, "name ptr 0"),
    ("pt_regs", 24, "bp u64 0, ip u64 8, sp u64 16"),
    ("inactive_task_frame", 16, "bp u64 0, ret_addr u64 8"),
    ("orc_entry", 6, "sp_offset s16 0, bp_offset s16 2, sp_reg u16 4 4 0, bp_reg u16 4 4 4, type u16 4 3 8"),
    ("module_memory", 16, "base ptr 0, size int 8"),
    ("mod_arch_specific", 24, "num_orcs int 0, orc_unwind_ip ptr 8, orc_unwind ptr 16"),
    ("mod_kallsyms", 24, "symtab ptr 0, num_symtab int 8, strtab ptr 16"),
    ("btf_module", 32, "list list_head 0, module ptr 16, btf ptr 24"),
    ("bpf_ksym", 48, "start u64 0, end u64 8, lnode list_head 16, name text 32"),
];

/// All of them.
pub(super) fn types() -> Vec<u8> {
    let mut btf = BtfWriter::default();
    let mut known = vec![("ptr", btf.pointer(0))];
    for (name, bytes, encoding) in
        [("int", 4, 1), ("u8", 1, 0), ("u16", 2, 0), ("s16", 2, 1), ("u64", 8, 0), ("s64", 8, 1)]
    {
        known.push((name, btf.int(name, bytes, encoding)));
    }
    let (char_, pointer) = (btf.int("char", 1, 1), known[0].1);
    known.extend([("text", btf.array(char_, 16)), ("ptrs", btf.array(pointer, 0)), ("slots", btf.array(pointer, 64))]);
    btf.enumeration("scx_dsq_lnode_flags", &[("SCX_DSQ_LNODE_ITER_CURSOR", 1)]);
    btf.enumeration("scx_enable_state", &[("SCX_ENABLED", 1), ("SCX_DISABLED", 3)]);
    let mut types = Types { btf, known };
    STRUCTS.iter().for_each(|(name, bytes, members)| types.add(name, *bytes, members));
    let bases = types.btf.array(types.of("tk_read_base"), 2);
    types.known.push(("bases", bases));
    types.add("tk_fast", 104, "seq seqcount_latch_t 0, base bases 8");
    let parts = types.btf.array(types.of("module_memory"), 2);
    types.known.push(("parts", parts));
    types.add("module", 120, "state int 0, list list_head 8, name text 24, mem parts 40, percpu ptr 72, percpu_size int 80, kallsyms ptr 88, arch mod_arch_specific 96");
    types.btf.finish()
}

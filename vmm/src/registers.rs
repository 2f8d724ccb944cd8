//! Registers of virtual CPUs.

/// The registers of one CPU that tell where it is and in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuRegisters {
    /// Number of the CPU, in the machine's order.
    pub cpu: u32,
    /// Instruction pointer.
    pub rip: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Frame pointer.
    pub rbp: u64,
    /// Flags; see [`CpuRegisters::interrupts_enabled`].
    pub rflags: u64,
    /// Control register 0.
    pub cr0: u64,
    /// Address of the last page fault.
    pub cr2: u64,
    /// Root of the page tables.
    pub cr3: u64,
    /// Control register 4.
    pub cr4: u64,
    /// Current privilege level: 0 in the kernel, 3 in user space.
    pub privilege: u8,
    /// Whether it waits in `hlt`.
    pub halted: bool,
}

const RFLAGS_IF: u64 = 1 << 9;

impl CpuRegisters {
    /// Whether the CPU takes interrupts.
    pub fn interrupts_enabled(&self) -> bool {
        self.rflags & RFLAGS_IF != 0
    }
}

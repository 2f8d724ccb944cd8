//! What a guest finds at its machine: parameters on the kernel's command line, and I/O ports.

/// Parameter that says where the window is: `ktstr.window=0x<address>,<bytes>`.
pub const WINDOW_PARAMETER: &str = "ktstr.window=";

/// Parameter that asks stage one to stop the machine at its save point.
pub const SAVE_PARAMETER: &str = "ktstr.save";

/// Port of the debug exit, four ports wide: a byte written there ends the machine with that exit code.
pub const EXIT_PORT: u16 = 0xf4;

/// Port of the save, on a machine that was booted to be saved: [`SAVE_VALUE`] written there stops all CPUs and guest time, and the
/// machine is saved. Each machine that starts from the save goes on behind that instruction, on all CPUs. On any other machine the
/// write does nothing.
pub const SAVE_PORT: u16 = 0x505;

/// See [`SAVE_PORT`].
pub const SAVE_VALUE: u8 = 1;

//! Reads and writes of ports, in any order, of any length.

use crate::input::{memory_file, Input};
use ktstr_channel::ports::{EXIT_PORT, SAVE_PORT};
use ktstr_vmm::kvm::fuzzing::Ports;

/// Ports that something is behind, for half of the accesses.
const PORTS: [u16; 16] = [
    0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x600, 0x602, 0x604, 0xcf9, 0x64, 0x71, EXIT_PORT,
    SAVE_PORT,
];

/// First whether the machine can be saved, and the registers of a save; then accesses: what (and how long), which port, data.
///
/// # Panics
/// If devices do something that they may not.
pub fn devices(input: &[u8]) {
    let mut input = Input(input);
    let saves = input.u8() & 1 == 1;
    let (console, _) = memory_file();
    let ports = Ports::new(console, input.bytes(11), saves).expect("any registers will do");
    while !input.is_empty() {
        let what = input.u8();
        let port = match what & 2 {
            0 => PORTS.get(usize::from(input.u8()) % PORTS.len()).copied().unwrap_or(0),
            _ => input.u16(),
        };
        let length = usize::from(what >> 4) % 9;
        if what & 1 == 0 {
            if let Some(effect) = ports.write(port, input.bytes(length)) {
                let may = [EXIT_PORT, SAVE_PORT, 0x604, 0xcf9, 0x64].contains(&port);
                assert!(may && (saves || port != SAVE_PORT), "a write to {port:#x} has the effect {effect}");
            }
        } else {
            let mut data = [0xa5; 8];
            ports.read(port, data.get_mut(..length).unwrap_or_default());
            assert!(data.iter().skip(length).all(|byte| *byte == 0xa5), "a read of {length} bytes writes more");
        }
    }
    let state = ports.state();
    let again = Ports::new(memory_file().0, &state, saves).expect("its own registers");
    assert_eq!(again.state(), state, "registers change when they are saved");
}

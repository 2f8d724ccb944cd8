//! What a guest finds behind I/O ports: a serial port, and the ways in which it ends, resets or stops itself.
//!
//! Everything that is written here is the guest's, which may be broken or hostile: each access is looked at by port and length, and what
//! nothing is behind reads as ones and takes writes without effect.

use super::control::Ending;
use super::registers::{DevicesState, SerialRegisters};
use ktstr_channel::ports::{EXIT_PORT, SAVE_PORT, SAVE_VALUE};
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};
use vm_superio::serial::NoEvents;
use vm_superio::{Serial, Trigger};
use vmm_sys_util::eventfd::EventFd;

/// Interrupt line of the first serial port.
pub(super) const SERIAL_IRQ: u32 = 4;
const SERIAL_PORT: u16 = 0x3f8;
const SERIAL_PORTS: u16 = 8;
/// ACPI's PM1a registers, where q35 firmware puts them: see `arch::x86_64::acpi`. No event ever comes, but a kernel wants to read back
/// which of them it has enabled.
const PM1_STATUS: u16 = 0x600;
const PM1_ENABLE: u16 = 0x602;
const PM1_CONTROL: u16 = 0x604;
/// ACPI spec, 4.8.3.2.1: the system is in ACPI mode; go to sleep now.
const SCI_ENABLED: u16 = 1;
const SLEEP_ENABLE: u16 = 1 << 13;
/// PCI reset control register (as in Intel's I/O controller hubs): reset now.
const RESET_CONTROL: u16 = 0xcf9;
const RESET_NOW: u8 = 1 << 2;
/// The keyboard controller's command port, and its command that pulses the reset line.
const I8042_COMMAND: u16 = 0x64;
const I8042_RESET: u8 = 0xfe;
/// The real-time clock's data: zero says that no update is in progress.
const CMOS_DATA: u16 = 0x71;

/// What a write has for an effect on the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    /// The guest stops itself for a save.
    Save,
    End(Ending),
}

/// Raises an interrupt line.
struct Line(EventFd);

impl Trigger for Line {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        self.0.write(1)
    }
}

/// All devices of a machine.
pub(super) struct Devices {
    serial: Mutex<Serial<Line, NoEvents, File>>,
    pm1_enable: AtomicU16,
    /// Whether the guest can stop the machine for a save.
    saves: bool,
}

impl Devices {
    /// Devices in `state` whose console is `console`; `line` is the serial port's interrupt.
    pub(super) fn new(console: File, line: EventFd, state: &DevicesState, saves: bool) -> io::Result<Self> {
        let serial = Serial::from_state(&state.serial.port(), Line(line), NoEvents, console)
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
        Ok(Self { serial: Mutex::new(serial), pm1_enable: AtomicU16::new(state.pm1_enable), saves })
    }

    /// All registers.
    pub(super) fn state(&self) -> DevicesState {
        let serial = SerialRegisters::of(&self.serial().state());
        DevicesState { serial, pm1_enable: self.pm1_enable.load(Ordering::Relaxed) }
    }

    fn serial(&self) -> std::sync::MutexGuard<'_, Serial<Line, NoEvents, File>> {
        self.serial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest writes `data` to `port`.
    pub(super) fn write(&self, port: u16, data: &[u8]) -> Effect {
        let Some(first) = data.first().copied() else { return Effect::None };
        match port {
            EXIT_PORT => Effect::End(Ending::Guest(first)),
            SAVE_PORT if first == SAVE_VALUE && self.saves => Effect::Save,
            PM1_ENABLE => {
                let value = u16::from_le_bytes([first, data.get(1).copied().unwrap_or(0)]);
                self.pm1_enable.store(value, Ordering::Relaxed);
                Effect::None
            }
            PM1_CONTROL if sleeps(data) => Effect::End(Ending::PowerOff),
            RESET_CONTROL if first & RESET_NOW != 0 => Effect::End(Ending::Reset),
            I8042_COMMAND if first == I8042_RESET => Effect::End(Ending::Reset),
            _ => match serial_register(port) {
                // A console that cannot be written loses the byte: the guest is not to feel it.
                Some(register) => self.serial().write(register, first).map_or(Effect::None, |()| Effect::None),
                None => Effect::None,
            },
        }
    }

    /// The guest reads `port` into `data`.
    pub(super) fn read(&self, port: u16, data: &mut [u8]) {
        let value = match port {
            CMOS_DATA | PM1_STATUS => 0,
            PM1_ENABLE => self.pm1_enable.load(Ordering::Relaxed),
            PM1_CONTROL => SCI_ENABLED,
            _ => serial_register(port).map_or(0xffff, |register| u16::from(self.serial().read(register)) | 0xff00),
        };
        let bytes = value.to_le_bytes().into_iter().chain(std::iter::repeat(if value == 0xffff { 0xff } else { 0 }));
        data.iter_mut().zip(bytes).for_each(|(byte, value)| *byte = value);
    }
}

fn serial_register(port: u16) -> Option<u8> {
    let register = port.checked_sub(SERIAL_PORT).filter(|register| *register < SERIAL_PORTS)?;
    u8::try_from(register).ok()
}

fn sleeps(data: &[u8]) -> bool {
    matches!(data, [low, high, ..] if u16::from_le_bytes([*low, *high]) & SLEEP_ENABLE != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    fn devices(saves: bool) -> (Devices, File) {
        let console = tempfile::tempfile().expect("a file");
        let line = EventFd::new(0).expect("an event");
        (
            Devices::new(console.try_clone().expect("clones"), line, &DevicesState::default(), saves).expect("can be"),
            console,
        )
    }

    #[test]
    fn what_a_guest_writes_has_its_effect() {
        let (devices, mut console) = devices(true);
        let cases: [(u16, &[u8], Effect); 9] = [
            (EXIT_PORT, &[7, 0, 0, 0], Effect::End(Ending::Guest(7))),
            (EXIT_PORT, &[], Effect::None),
            (SAVE_PORT, &[SAVE_VALUE], Effect::Save),
            (PM1_CONTROL, &[0, 0x20], Effect::End(Ending::PowerOff)),
            (PM1_CONTROL, &[0, 0x1c], Effect::None),
            (RESET_CONTROL, &[2], Effect::None),
            (RESET_CONTROL, &[6], Effect::End(Ending::Reset)),
            (I8042_COMMAND, &[0xfe], Effect::End(Ending::Reset)),
            (SERIAL_PORT, b"x", Effect::None),
        ];
        for (port, data, effect) in cases {
            assert_eq!(devices.write(port, data), effect, "{port:#x} {data:?}");
        }
        let mut text = String::new();
        console.rewind().expect("rewinds");
        console.read_to_string(&mut text).expect("reads");
        assert_eq!(text, "x");
        assert_eq!(super::tests::devices(false).0.write(SAVE_PORT, &[SAVE_VALUE]), Effect::None);
    }

    #[test]
    fn what_is_not_there_reads_as_ones() {
        let (devices, _) = devices(false);
        let read = |port| {
            let mut data = [1, 2];
            devices.read(port, &mut data);
            data
        };
        assert_eq!(read(0xcfc), [0xff, 0xff]);
        assert_eq!(read(PM1_CONTROL), [1, 0]);
        assert_eq!(read(PM1_ENABLE), [0, 0]);
        assert_eq!(devices.write(PM1_ENABLE, &[0x20, 1]), Effect::None);
        assert_eq!(read(PM1_ENABLE), [0x20, 1]);
        assert_eq!(devices.state().pm1_enable, 0x120);
        // The transmitter is empty.
        assert_eq!(read(SERIAL_PORT + 5)[0] & 0x20, 0x20);
        devices.read(SERIAL_PORT, &mut []);
    }
}

//! Registers of the devices, as a save holds them.

use serde::{Deserialize, Serialize};
use vm_superio::SerialState;

/// Registers of all devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct DevicesState {
    pub(super) serial: SerialRegisters,
    /// ACPI's PM1a enable register.
    pub(super) pm1_enable: u16,
}

/// Those of the serial port, in the order of [`SerialState`]'s fields. Nothing waits to be read from it: nobody sends anything there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SerialRegisters([u8; 9]);

impl Default for SerialRegisters {
    fn default() -> Self {
        Self::of(&SerialState::default())
    }
}

impl SerialRegisters {
    pub(super) fn of(port: &SerialState) -> Self {
        Self([
            port.baud_divisor_low,
            port.baud_divisor_high,
            port.interrupt_enable,
            port.interrupt_identification,
            port.line_control,
            port.line_status,
            port.modem_control,
            port.modem_status,
            port.scratch,
        ])
    }

    pub(super) fn port(self) -> SerialState {
        let Self(
            [baud_divisor_low, baud_divisor_high, interrupt_enable, interrupt_identification, line_control, line_status, modem_control, modem_status, scratch],
        ) = self;
        SerialState {
            baud_divisor_low,
            baud_divisor_high,
            interrupt_enable,
            interrupt_identification,
            line_control,
            line_status,
            modem_control,
            modem_status,
            scratch,
            in_buffer: Vec::new(),
        }
    }
}

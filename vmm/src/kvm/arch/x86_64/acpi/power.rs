//! FADT, FACS and DSDT: the registers by which a guest turns the machine off and resets it, and the one device that it does not find by itself.
//!
//! The machine is in ACPI mode from the start and has no other power management: no timer, no buttons, no sleep but "soft off".

use super::{table, OEM_ID, OEM_REVISION, OEM_TABLE_ID};
use acpi_tables::aml::{Device, EISAName, Interrupt, Name, Package, Path, ResourceTemplate, Scope, ZERO};
use acpi_tables::fadt::{FADTBuilder, Flags, PmProfile, FADT};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use acpi_tables::{aml, facs::FACS, sdt::Sdt, Aml};

/// The interrupt of ACPI itself; nothing raises it, but Linux wants one.
pub(super) const SCI: u8 = 9;
/// Status and enable registers of fixed events, of 2 bytes each (4.8.3.1).
const PM1A_EVENT: (u16, u8) = (0x600, 4);
/// The register that a guest writes `SLP_EN` to (4.8.3.2).
const PM1A_CONTROL: (u16, u8) = (0x604, 2);
const RESET_PORT: u16 = 0xcf9;
const RESET_VALUE: u8 = 6;
/// What the guest finds by its own probing (5.2.9.3): there are devices on the ISA bus, but no VGA, no ASPM and no CMOS clock; nor an 8042,
/// whose bit is clear.
const BOOT_ARCHITECTURE: u16 = LEGACY_DEVICES | VGA_NOT_PRESENT | NO_ASPM | CMOS_RTC_NOT_PRESENT;
const LEGACY_DEVICES: u16 = 1 << 0;
const VGA_NOT_PRESENT: u16 = 1 << 2;
const NO_ASPM: u16 = 1 << 4;
const CMOS_RTC_NOT_PRESENT: u16 = 1 << 5;
/// Latencies from which on there are no C2 and C3 (5.2.9).
const NO_C2: u16 = 101;
const NO_C3: u16 = 1001;
const COM1: u16 = 0x3f8;
const COM1_PORTS: u8 = 8;
const COM1_IRQ: u32 = 4;
/// Integers of the DSDT have 64 bits from this revision on (5.2.11.1).
const DSDT_REVISION: u8 = 2;

pub(super) fn facs() -> FACS {
    FACS::new()
}

/// Both widths of each address agree, as drivers/acpi/acpica/tbfadt.c of Linux checks.
pub(super) fn fadt(facs: u64, dsdt: u64) -> FADT {
    let mut fadt = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .preferred_pm_profile(PmProfile::EnterpriseServer)
        .firmware_ctrl_64(facs)
        .dsdt_64(dsdt)
        .flag(Flags::Wbinvd)
        .flag(Flags::ProcC1)
        // Buttons and the clock's alarm would be devices of the DSDT, that is: they are not there.
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton)
        .flag(Flags::FixRtc)
        .flag(Flags::ResetRegSup)
        .flag(Flags::Headless);
    fadt.sci_int = u16::from(SCI).into();
    fadt.iapc_boot_arch = BOOT_ARCHITECTURE.into();
    (fadt.p_lvl2_lat, fadt.p_lvl3_lat) = (NO_C2.into(), NO_C3.into());
    (fadt.pm1a_evt_blk, fadt.pm1_evt_len) = (u32::from(PM1A_EVENT.0).into(), PM1A_EVENT.1);
    (fadt.pm1a_cnt_blk, fadt.pm1_cnt_len) = (u32::from(PM1A_CONTROL.0).into(), PM1A_CONTROL.1);
    fadt.x_pm1a_evt_blk = ports(PM1A_EVENT, AccessSize::WordAccess);
    fadt.x_pm1a_cnt_blk = ports(PM1A_CONTROL, AccessSize::WordAccess);
    fadt.reset_reg = ports((RESET_PORT, 1), AccessSize::ByteAccess);
    fadt.reset_value = RESET_VALUE;
    fadt.finalize()
}

fn ports((port, bytes): (u16, u8), access: AccessSize) -> GAS {
    GAS::new(AddressSpace::SystemIo, bytes * 8, 0, access, port.into())
}

/// `_S5` is what a guest writes as the sleep type to be turned off: 0, as on QEMU's `q35`. The serial port is found without a description, but then
/// Linux polls it.
pub(super) fn dsdt() -> Sdt {
    let mut body = Vec::new();
    let off = Package::new(vec![&ZERO, &ZERO, &ZERO, &ZERO]);
    Name::new(Path::new("_S5_"), &off).to_aml_bytes(&mut body);
    let (kind, ports) = (EISAName::new("PNP0501"), aml::IO::new(COM1, COM1, 1, COM1_PORTS));
    let interrupt = Interrupt::new(true, true, false, false, COM1_IRQ);
    let resources = ResourceTemplate::new(vec![&ports, &interrupt]);
    let (id, unit) = (Name::new(Path::new("_HID"), &kind), Name::new(Path::new("_UID"), &ZERO));
    let resources = Name::new(Path::new("_CRS"), &resources);
    let serial = Device::new(Path::new("COM1"), vec![&id, &unit, &resources]);
    Scope::new(Path::new("_SB_"), vec![&serial]).to_aml_bytes(&mut body);
    table(*b"DSDT", DSDT_REVISION, &body)
}

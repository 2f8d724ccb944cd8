//! Reads the emulator's dump of registers (`info registers -a`, and the dumps in its reset log).

use crate::CpuRegisters;

/// All CPUs of a dump. A CPU whose dump lacks a register is left out.
pub(super) fn parse(dump: &str) -> Vec<CpuRegisters> {
    let mut blocks = dump.split("CPU#");
    // What stands before the first CPU belongs to none.
    blocks.next();
    blocks.filter_map(parse_cpu).collect()
}

fn parse_cpu(block: &str) -> Option<CpuRegisters> {
    let (number, registers) = block.split_once('\n')?;
    // In 32-bit code the dump has the names of 32-bit registers, and RFL is EFL.
    let wide_or_narrow = |wide, narrow| hexadecimal(registers, wide).or_else(|| hexadecimal(registers, narrow));
    Some(CpuRegisters {
        cpu: number.trim().parse().ok()?,
        rip: wide_or_narrow("RIP=", "EIP=")?,
        rsp: wide_or_narrow("RSP=", "ESP=")?,
        rbp: wide_or_narrow("RBP=", "EBP=")?,
        rflags: wide_or_narrow("RFL=", "EFL=")?,
        cr0: hexadecimal(registers, "CR0=")?,
        cr2: hexadecimal(registers, "CR2=")?,
        cr3: hexadecimal(registers, "CR3=")?,
        cr4: hexadecimal(registers, "CR4=")?,
        privilege: u8::try_from(hexadecimal(registers, "CPL=")?).ok()?,
        halted: hexadecimal(registers, "HLT=")? != 0,
    })
}

fn hexadecimal(registers: &str, name: &str) -> Option<u64> {
    let (_, rest) = registers.split_once(name)?;
    let digits = rest.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "
CPU#0
RAX=0000000000000001 RBX=0000000000000000 RCX=0000000000000000 RDX=0000000000000000
RSI=0000000000000000 RDI=0000000000000000 RBP=ffffc90000013f40 RSP=ffffc90000013f00
R8 =0000000000000000 R9 =0000000000000000 R10=0000000000000000 R11=0000000000000000
RIP=ffffffff81ff1234 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1
CR0=80050033 CR2=00007f0000000000 CR3=0000000002a10000 CR4=00350ef0
EFER=0000000000000d01

CPU#1
EAX=00000000 EBX=00000000 ECX=00000000 EDX=000006fb
ESI=00000000 EDI=00000000 EBP=00000000 ESP=00001000
EIP=00100001 EFL=00000002 [-------] CPL=3 II=0 A20=1 SMM=0 HLT=0
CR0=00000011 CR2=00000000 CR3=00000000 CR4=00000000
";

    #[test]
    fn reads_wide_and_narrow_dumps() {
        let cpus = parse(DUMP);
        let expected = [
            CpuRegisters {
                cpu: 0,
                rip: 0xffff_ffff_81ff_1234,
                rsp: 0xffff_c900_0001_3f00,
                rbp: 0xffff_c900_0001_3f40,
                rflags: 0x246,
                cr0: 0x8005_0033,
                cr2: 0x7f00_0000_0000,
                cr3: 0x2a1_0000,
                cr4: 0x35_0ef0,
                privilege: 0,
                halted: true,
            },
            CpuRegisters {
                cpu: 1,
                rip: 0x10_0001,
                rsp: 0x1000,
                rbp: 0,
                rflags: 2,
                cr0: 0x11,
                cr2: 0,
                cr3: 0,
                cr4: 0,
                privilege: 3,
                halted: false,
            },
        ];
        assert_eq!(cpus, expected);
        assert!(expected[0].interrupts_enabled() && !expected[1].interrupts_enabled());
    }

    #[test]
    fn a_damaged_dump_gives_the_cpus_that_are_whole() {
        let cut = &DUMP[..DUMP.len() - 60];
        assert_eq!(parse(cut).len(), 1);
        assert!(parse("nothing").is_empty());
        assert!(parse("CPU#x\nRIP=zz").is_empty());
    }
}

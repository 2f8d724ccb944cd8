//! Writes BTF blobs (include/uapi/linux/btf.h).

/// BTF in the making: each function adds a type and gives its number.
#[derive(Debug)]
pub struct BtfWriter {
    types: Vec<u8>,
    strings: Vec<u8>,
    next: u32,
    strings_before: u32,
}

/// A member of a struct: name, type, offset in bits, width in bits (0: it is no bit field).
pub type MemberSpec<'a> = (&'a str, u32, u32, u32);

const HEADER_BYTES: u32 = 24;

impl Default for BtfWriter {
    fn default() -> Self {
        Self { types: Vec::new(), strings: vec![0], next: 1, strings_before: 0 }
    }
}

impl BtfWriter {
    /// BTF on top of this one.
    pub fn split(&self) -> Self {
        Self::on_top((self.next, self.strings_before + self.strings.len() as u32))
    }

    /// BTF on top of one that ends there: the number of the first type, and the offset of the first string.
    pub fn on_top((next, strings_before): (u32, u32)) -> Self {
        Self { types: Vec::new(), strings: Vec::new(), next, strings_before }
    }

    fn add(&mut self, name: &str, kind: u32, flag: bool, entries: usize, words: &[u32]) -> u32 {
        let name = self.string(name);
        let info = (u32::from(flag) << 31) | (kind << 24) | entries as u32;
        for word in [name, info].iter().chain(words) {
            self.types.extend(word.to_le_bytes());
        }
        self.next += 1;
        self.next - 1
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.strings_before + self.strings.len() as u32;
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        at
    }

    /// An integer; encoding 1 is signed, 4 a `bool`.
    pub fn int(&mut self, name: &str, bytes: u32, encoding: u32) -> u32 {
        self.add(name, 1, false, 0, &[bytes, (encoding << 24) | (bytes * 8)])
    }

    /// A pointer.
    pub fn pointer(&mut self, to: u32) -> u32 {
        self.add("", 2, false, 0, &[to])
    }

    /// An array. Its index is of type 1, which has to be a plain integer for a kernel to take it.
    pub fn array(&mut self, of: u32, count: u32) -> u32 {
        self.add("", 3, false, 0, &[0, of, 1, count])
    }

    /// A struct.
    pub fn structure(&mut self, name: &str, bytes: u32, members: &[MemberSpec<'_>]) -> u32 {
        self.record(4, name, bytes, members)
    }

    /// A union.
    pub fn union(&mut self, name: &str, bytes: u32, members: &[MemberSpec<'_>]) -> u32 {
        self.record(5, name, bytes, members)
    }

    fn record(&mut self, kind: u32, name: &str, bytes: u32, members: &[MemberSpec<'_>]) -> u32 {
        let flag = members.iter().any(|(_, _, _, width)| *width > 0);
        let mut words = vec![bytes];
        for (name, id, offset, width) in members {
            words.extend([self.string(name), *id, (width << 24) | offset]);
        }
        self.add(name, kind, flag, members.len(), &words)
    }

    /// An enum of 4 bytes, signed if one of its values is negative.
    pub fn enumeration(&mut self, name: &str, values: &[(&str, i32)]) -> u32 {
        let mut words = vec![4];
        for (name, value) in values {
            words.extend([self.string(name), *value as u32]);
        }
        let is_signed = values.iter().any(|(_, value)| *value < 0);
        self.add(name, 6, is_signed, values.len(), &words)
    }

    /// A function that gives nothing, with arguments of one type.
    pub fn function(&mut self, name: &str, arguments: &[&str], of: u32) -> u32 {
        let words: Vec<u32> = arguments.iter().flat_map(|name| [self.string(name), of]).collect();
        let prototype = self.add("", 13, false, arguments.len(), &[&[0], &words[..]].concat());
        self.add(name, 12, false, 1, &[prototype])
    }

    /// An alias.
    pub fn typedef(&mut self, name: &str, of: u32) -> u32 {
        self.add(name, 8, false, 0, &[of])
    }

    /// A section of a BPF object, with variables: name, type, offset, bytes.
    pub fn section(&mut self, name: &str, bytes: u32, variables: &[(&str, u32, u32, u32)]) -> u32 {
        let mut words = vec![bytes];
        for (name, id, offset, size) in variables {
            words.extend([self.add(name, 14, false, 0, &[*id, 1]), *offset, *size]);
        }
        self.add(name, 15, false, variables.len(), &words)
    }

    /// The blob.
    pub fn finish(&self) -> Vec<u8> {
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [HEADER_BYTES, 0, types, types, strings] {
            bytes.extend(word.to_le_bytes());
        }
        [bytes, self.types.clone(), self.strings.clone()].concat()
    }
}

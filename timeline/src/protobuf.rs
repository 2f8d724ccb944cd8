//! Messages in the wire format of Protocol Buffers: as much of it as a trace needs.

const VARINT: u64 = 0;
const DOUBLE: u64 = 1;
const BYTES: u64 = 2;

/// A message; fields are added one after another.
#[derive(Debug, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn number(mut self, field: u64, value: u64) -> Self {
        self.key(field, VARINT);
        self.varint(value);
        self
    }

    pub(crate) fn double(mut self, field: u64, value: f64) -> Self {
        self.key(field, DOUBLE);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub(crate) fn message(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.key(field, BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// Reads messages back, for tests.
#[cfg(test)]
pub(crate) mod read {
    /// The value of a field.
    #[derive(Debug, Clone, PartialEq)]
    pub(crate) enum Value<'a> {
        Number(u64),
        Double(f64),
        Bytes(&'a [u8]),
    }

    /// All fields of a message in their order; a panic if it is none.
    pub(crate) fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let value = match key & 7 {
                super::VARINT => Value::Number(varint(&mut bytes)),
                super::DOUBLE => Value::Double(f64::from_le_bytes(take(&mut bytes, 8).try_into().expect("8 bytes"))),
                super::BYTES => {
                    let length = varint(&mut bytes);
                    Value::Bytes(take(&mut bytes, length as usize))
                }
                other => panic!("kind {other}"),
            };
            fields.push((key >> 3, value));
        }
        fields
    }

    fn varint(bytes: &mut &[u8]) -> u64 {
        let length = bytes.iter().position(|byte| byte & 0x80 == 0).expect("an end") + 1;
        take(bytes, length).iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
    }

    fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
        let (taken, rest) = bytes.split_at(length);
        *bytes = rest;
        taken
    }
}

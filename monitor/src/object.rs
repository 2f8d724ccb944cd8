//! Objects of a kernel: a value by its path.

use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::page_table::Gva;
use ktstr_btf::{Btf, Field, FieldError, TypeId, Value};

/// Arrays and structs that are read whole are not larger.
pub(crate) const VALUE_BYTES_MAX: u64 = 1 << 20;

/// Something at an address, with its type.
#[derive(Clone, Copy)]
pub struct Object<'k> {
    kernel: &'k Kernel,
    btf: &'k Btf,
    id: TypeId,
    at: Gva,
}

impl Kernel {
    /// The object of the kernel's type `name` at `at`: `kernel.object("task_struct", at)?.field("comm")`.
    ///
    /// # Errors
    /// The kernel has no such type.
    pub fn object(&self, name: &str, at: Gva) -> Result<Object<'_>, ReadError> {
        Ok(self.object_of(self.btf(), self.btf().named(name, name)?, at))
    }

    /// An object of a type of `btf`, which may be that of a BPF object.
    pub fn object_of<'k>(&'k self, btf: &'k Btf, id: TypeId, at: Gva) -> Object<'k> {
        Object { kernel: self, btf, id, at }
    }
}

impl Object<'_> {
    /// Its address.
    pub fn at(&self) -> Gva {
        self.at
    }

    /// The value of one of its fields.
    ///
    /// # Errors
    /// There is no such field, or its memory cannot be read.
    pub fn field(&self, path: &str) -> Result<Value, ReadError> {
        self.value(&self.btf.field_of(self.id, path)?, path)
    }

    /// As [`Object::field`], of a field that was looked up before; `name` is for messages.
    ///
    /// # Errors
    /// Its memory cannot be read.
    pub fn value(&self, field: &Field, name: &str) -> Result<Value, ReadError> {
        Ok(self.btf.decode(&field.shape, &self.content(field, name)?.1))
    }

    /// The number in a field that was looked up before; `name` is for messages.
    ///
    /// # Errors
    /// It is no number, or its memory cannot be read.
    pub fn number(&self, field: &Field, name: &str) -> Result<i128, ReadError> {
        self.value(field, name)?.number().ok_or_else(|| no_number(name))
    }

    /// Puts a number into a field that was looked up before; `name` is for messages. Bits around a bit field stay as they were read.
    ///
    /// # Errors
    /// The field is no number or has no room for this one, or its memory cannot be read or written.
    pub fn set(&self, field: &Field, name: &str, number: i128) -> Result<(), ReadError> {
        has_room(field, name, number)?;
        let (at, mut content) = self.content(field, name)?;
        field.shape.encode(number, &mut content);
        self.kernel.write(at, &content)
    }

    /// Where a field is, and its bytes.
    fn content(&self, field: &Field, name: &str) -> Result<(Gva, Vec<u8>), ReadError> {
        let at = self.follow(field, name)?;
        let bytes = field.shape.bytes(self.btf).unwrap_or(u64::MAX);
        if bytes > VALUE_BYTES_MAX {
            return Err(ReadError::Absurd { what: "the size of a value", seen: bytes, most: VALUE_BYTES_MAX });
        }
        let mut content = vec![0; bytes as usize];
        self.kernel.read(at, &mut content)?;
        Ok((at, content))
    }

    /// A field as an unsigned word; of a negative number its bits.
    ///
    /// # Errors
    /// As [`Object::field`]; or it is no number.
    pub fn word(&self, path: &str) -> Result<u64, ReadError> {
        Ok(self.field(path)?.number().ok_or_else(|| no_number(path))? as u64)
    }

    /// Where one of its fields is.
    ///
    /// # Errors
    /// There is no such field, or a pointer on the way cannot be followed.
    pub fn address_of(&self, path: &str) -> Result<Gva, ReadError> {
        self.follow(&self.btf.field_of(self.id, path)?, path)
    }

    fn follow(&self, field: &Field, path: &str) -> Result<Gva, ReadError> {
        let mut at = self.at;
        for hop in &field.hops {
            at = Gva(self.kernel.word(at.plus(*hop))?);
            if at == Gva(0) {
                return Err(ReadError::Null(path.to_owned()));
            }
        }
        Ok(at.plus(field.offset))
    }
}

fn no_number(path: &str) -> ReadError {
    ReadError::Field(FieldError::Misfit { path: path.into(), problem: "it is no number of at most 8 bytes".into() })
}

/// Whether a field can hold a number.
pub(crate) fn has_room(field: &Field, name: &str, number: i128) -> Result<(), ReadError> {
    let range = field.shape.range().ok_or_else(|| no_number(name))?;
    if range.contains(&number) {
        return Ok(());
    }
    Err(ReadError::NoRoom { field: name.into(), number, least: *range.start(), most: *range.end() })
}

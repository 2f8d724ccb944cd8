//! Ops of a case on its kernel's memory: before it boots whether they can be, then what they come to.
//!
//! ```text
//! Image, HostOp ──check──▶ nothing, or why it cannot be
//! Sampler, HostOp ──carry_out──▶ HostOpResult
//! ```
//!
//! Variables of the kernel are known from its image; those of a scheduler only when its maps are there, and those of a module, `MODULE:SYMBOL` as
//! the kernel's own kprobes have it, when that is loaded.

use crate::error::ReadError;
use crate::image::Image;
use crate::kernel::Kernel;
use crate::map_variables::MapVariables;
use crate::module::Modules;
use crate::object::has_room;
use crate::sampler::Sampler;
use crate::symbols::Address;
use crate::Maps;
use ktstr_btf::{near, Btf, Field, FieldError, TypeId};
use ktstr_model::host_op::{Access, HostOp, HostOpResult, KernelVariable, Variable};
use ktstr_model::monitor::SeriesSpec;

/// Whether an op can be done with the kernel of `image`, so far as that can be known from the image.
///
/// # Errors
/// What is in the way, with names that are like the one that is not there.
pub fn check(image: &Image, op: &HostOp) -> Result<(), ReadError> {
    let Variable::Kernel(variable) = &op.variable else { return Ok(()) };
    let symbol = &variable.symbol;
    if symbol.contains(':') {
        // What a module has is known when it is loaded.
        return image.symbols().find("modules").map(drop).ok_or_else(|| no_symbol(image, "modules"));
    }
    let address = image.symbols().find(symbol).ok_or_else(|| no_symbol(image, symbol))?;
    let linked = |name| match image.symbols().find(name) {
        Some(Address::Linked(at)) => at,
        _ => 0,
    };
    let is_per_cpu = match address {
        // Up to 6.14.
        Address::Absolute(_) => true,
        Address::Linked(at) => (linked("__per_cpu_start")..linked("__per_cpu_end")).contains(&at),
    };
    has_cpu(is_per_cpu, variable)?;
    let field = field(image.btf(), symbol, variable)?;
    let number = match op.access {
        Access::Read { expect } => expect.unwrap_or_default(),
        Access::Write(number) => number,
    };
    has_room(&field, &op.variable.to_string(), number)
}

impl Sampler {
    /// Carries out an op at once; a machine that runs goes on meanwhile. `None`: it went away.
    pub fn carry_out(&mut self, op: &HostOp) -> Option<Result<HostOpResult, ReadError>> {
        let (kernel, variables) = self.kernel_and_variables();
        let result = match &op.variable {
            Variable::Map(spec) => in_map(kernel, variables, spec, op.access),
            Variable::Kernel(variable) => in_kernel(kernel, variable, &op.variable.to_string(), op.access),
        };
        kernel.is_there().then_some(result)
    }
}

fn in_map(
    kernel: &Kernel,
    variables: &mut Option<MapVariables>,
    spec: &SeriesSpec,
    access: Access,
) -> Result<HostOpResult, ReadError> {
    let variables = match variables {
        Some(variables) => variables,
        None => variables.insert(MapVariables::new(Maps::of(kernel)?)),
    };
    let found = variables.find_now(kernel, spec)?;
    let none = || ReadError::NoElement { map: spec.map.clone() };
    match access {
        Access::Read { .. } => found.read(spec)?.map(HostOpResult::Read).ok_or_else(none),
        Access::Write(number) => found.write(spec, number)?.then_some(HostOpResult::Written).ok_or_else(none),
    }
}

fn in_kernel(
    kernel: &Kernel,
    variable: &KernelVariable,
    name: &str,
    access: Access,
) -> Result<HostOpResult, ReadError> {
    let (mut at, types, symbol) = match variable.symbol.split_once(':') {
        Some((module, symbol)) => {
            let modules = Modules::of(kernel)?;
            let found = modules.find(kernel, module)?;
            let at = modules.symbol(kernel, &found, symbol)?;
            has_cpu(found.per_cpu.contains(&at.0), variable)?;
            // A type that is named may be one of the kernel's: then the module need not bring any.
            let is_known = variable.of_type.is_some() && field(kernel.btf(), symbol, variable).is_ok();
            let types = if is_known { None } else { modules.types(kernel, &found)? };
            // Meanwhile it may have gone.
            if modules.find(kernel, module)? != found {
                return Err(ReadError::Torn("the module"));
            }
            (at, types, symbol)
        }
        None => (kernel.symbol(&variable.symbol)?, None, variable.symbol.as_str()),
    };
    if let Some(cpu) = variable.cpu {
        at = kernel.of_cpu(at, cpu as usize)?;
    }
    let btf = types.as_ref().unwrap_or(kernel.btf());
    let field = field(btf, symbol, variable)?;
    // What the type of the whole is does not matter any more: the field is known.
    let object = kernel.object_of(btf, TypeId(0), at);
    match access {
        Access::Read { .. } => object.number(&field, name).map(HostOpResult::Read),
        Access::Write(number) => object.set(&field, name, number).map(|()| HostOpResult::Written),
    }
}

fn has_cpu(is_per_cpu: bool, variable: &KernelVariable) -> Result<(), ReadError> {
    match (is_per_cpu, variable.cpu) {
        (true, None) => Err(misfit(&variable.symbol, "each CPU has its own: name one with `cpu`")),
        (false, Some(_)) => Err(misfit(&variable.symbol, "there is one for all CPUs: leave `cpu` away")),
        _ => Ok(()),
    }
}

fn no_symbol(image: &Image, symbol: &str) -> ReadError {
    let names = image.symbols().names();
    let near = near(symbol, names.iter().map(String::as_str));
    let (path, missing) = (symbol.to_owned(), symbol.to_owned());
    ReadError::Field(FieldError::Absent { path, missing, within: "the kernel".into(), near })
}

fn misfit(path: &str, problem: impl Into<String>) -> ReadError {
    ReadError::Field(FieldError::Misfit { path: path.into(), problem: problem.into() })
}

/// Where the number is, seen from the symbol.
fn field(btf: &Btf, symbol: &str, variable: &KernelVariable) -> Result<Field, ReadError> {
    let KernelVariable { field: path, of_type, .. } = variable;
    let sizeless = || misfit(symbol, "its type has no size");
    let Some(of_type) = of_type else {
        let unknown = "the kernel does not say of which type it is: name that with `of_type`, as in C";
        let id = btf.variable(symbol).ok_or_else(|| misfit(symbol, unknown))?;
        return if path.is_empty() { btf.whole(id).ok_or_else(sizeless) } else { Ok(btf.field_of(id, path)?) };
    };
    let (name, is_pointer) = match of_type.trim().strip_suffix('*') {
        Some(name) => (name.trim_end(), true),
        None => (of_type.trim(), false),
    };
    let name = ["struct ", "union ", "enum "].iter().find_map(|word| name.strip_prefix(word)).unwrap_or(name);
    let id = btf.named(name, of_type)?;
    match (is_pointer, path.strip_prefix("->")) {
        (true, Some(path)) => {
            let behind = btf.field_of(id, path)?;
            Ok(Field { hops: [vec![0], behind.hops].concat(), ..behind })
        }
        (true, None) if path.is_empty() => {
            Ok(Field { hops: Vec::new(), offset: 0, shape: ktstr_btf::Shape::Pointer { to: id } })
        }
        (true, None) => Err(misfit(path, format!("`{symbol}` is a pointer: write `->{path}`"))),
        (false, _) if path.is_empty() => btf.whole(id).ok_or_else(sizeless),
        (false, _) => Ok(btf.field_of(id, path)?),
    }
}

#[cfg(test)]
mod tests;

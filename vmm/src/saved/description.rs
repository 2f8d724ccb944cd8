//! What a save fits to, and what its files hold: `saved.json`.

use super::SavedError;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Version of the directory's layout. A save of another one is refused.
pub(crate) const FORMAT: u32 = 1;

/// The content of `saved.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    pub(crate) format: u32,
    /// The emulator with its version.
    pub(crate) emulator: String,
    /// Every option of the emulator that decides what the machine is: topology, clock, devices.
    pub(crate) machine: Vec<String>,
    /// Bytes of the window; it is not a part of the save, but its place in the machine is.
    pub(crate) window: Option<u64>,
    /// Under the real clock: the host's processor.
    pub(crate) host: Option<String>,
    pub(crate) files: Vec<FileDescription>,
}

/// One file of a save.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileDescription {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// See [`super::content::digest`].
    pub(crate) sha256: String,
}

impl FileDescription {
    pub(super) fn summary(&self) -> String {
        format!("{} bytes with digest {}", self.bytes, self.sha256)
    }
}

impl Description {
    /// Reads a description; `path` is where it stands.
    pub(super) fn parse(text: &[u8], path: &Path) -> Result<Self, SavedError> {
        let foreign = |problem| SavedError::Foreign { path: path.to_owned(), problem };
        // The version is looked at first: another one may have other fields.
        let value: serde_json::Value = serde_json::from_slice(text).map_err(|error| foreign(error.to_string()))?;
        let format = value.get("format").and_then(serde_json::Value::as_u64);
        if format != Some(u64::from(FORMAT)) {
            let format = format.map_or_else(|| "no format".to_owned(), |format| format!("format {format}"));
            return Err(foreign(format!("it has {format}, and {FORMAT} would do")));
        }
        let description: Self = serde_json::from_value(value).map_err(|error| foreign(error.to_string()))?;
        // Names become paths.
        if let Some(file) = description.files.iter().find(|file| !is_plain(&file.name)) {
            return Err(foreign(format!("it names the file {:?}", file.name)));
        }
        Ok(description)
    }

    pub(super) fn to_json(&self) -> String {
        // Serialization of strings and numbers does not fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Refuses a save (at `path`) of another machine than `wanted`, whose files are not looked at.
    pub(crate) fn check_fits(&self, wanted: &Self, path: &Path) -> Result<(), SavedError> {
        let unfit = |what, wanted: &dyn ToString, saved: &dyn ToString| SavedError::Unfit {
            path: path.to_owned(),
            what,
            wanted: wanted.to_string(),
            saved: saved.to_string(),
        };
        if self.emulator != wanted.emulator {
            return Err(unfit("the emulator", &wanted.emulator, &self.emulator));
        }
        if let Some((wanted, saved)) = first_difference(&wanted.machine, &self.machine) {
            return Err(unfit("the machine", &wanted, &saved));
        }
        let bytes = |window: Option<u64>| window.map_or_else(|| "none".to_owned(), |bytes| format!("{bytes} bytes"));
        if self.window != wanted.window {
            return Err(unfit("the window", &bytes(wanted.window), &bytes(self.window)));
        }
        let named = |host: &Option<String>| host.clone().unwrap_or_else(|| "any".to_owned());
        if self.host != wanted.host {
            return Err(unfit("the host's processor", &named(&wanted.host), &named(&self.host)));
        }
        Ok(())
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The first option of each that the other has not at the same place.
fn first_difference(wanted: &[String], saved: &[String]) -> Option<(String, String)> {
    let none = || "nothing".to_owned();
    let at = |options: &[String], index: usize| options.get(index).map(|option| format!("`{option}`"));
    let index = (0..wanted.len().max(saved.len())).find(|index| wanted.get(*index) != saved.get(*index))?;
    Some((at(wanted, index).unwrap_or_else(none), at(saved, index).unwrap_or_else(none)))
}
